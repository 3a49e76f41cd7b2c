//! The item of a group: the alerts of one kind that nobody was told of yet.
//!
//! An alert is counted first, and forgotten only once SNS took it: whatever dies in between, somebody tells of it later.
//! Whoever may tell holds the group's token for a minute. A group that waits is in the index `by-due`, with `waiting`
//! set to `alerts` and `due_at` to when it may be told.

use super::change::{Change, Item, WriteResult};
use super::value::{number, read_number, read_text, text};
use super::{Ledger, Waiting, now, random_token};
use crate::AwsError;
use crate::outcomes::Notice;

/// Beginning of a group's `pk`.
pub(super) const PREFIX: &str = "alerts#";

/// The sort key of a group's item, and its key in the index.
const SK: &str = "alerts";

/// Length of a window in seconds: after an alert was told, further ones of its kind are counted until it ends.
const WINDOW: i64 = 15 * 60;

/// Seconds in which whoever holds a group must have told of it.
const TELLING: i64 = 60;

/// Number of ids that are kept.
const MAX_IDS: usize = 5;

/// Seconds that a group is kept after its last alert.
const LIFETIME: i64 = 14 * 24 * 3600;

/// Number of groups that are told at a time. The next call tells the others.
const MAX_GROUPS: u16 = 100;

/// Number of times that a count is made anew because somebody else wrote in between.
const RACES: usize = 8;

/// The alerts of one kind that nobody was told of yet, in the hand of whoever tells.
#[derive(Clone, Debug)]
pub(crate) struct AlertGroup {
    pub(crate) category: String,
    pub(crate) event_type: String,
    pub(crate) reason: String,
    pub(crate) severity: String,
    /// Number of alerts.
    pub(crate) count: i64,
    /// Time of the first one in Unix seconds.
    pub(crate) first_at: i64,
    /// Time of the last one in Unix seconds.
    pub(crate) last_at: i64,
    /// Ids of the first few.
    pub(crate) ids: Vec<String>,
    pk: String,
    token: String,
    /// Beginning of the next window; `None` when the alert that comes next shall be told at once.
    opened_at: Option<i64>,
}

impl Ledger {
    /// Counts an alert. Returns its group if it is to be told now: no window is open.
    pub(crate) async fn count_alert(&self, notice: &Notice<'_>) -> Result<Option<AlertGroup>, AwsError> {
        const ACTION: &str = "count the alert";
        let (pk, token, now) = (pk(notice), random_token(), now() / 1000);
        let mut found: Option<Item> = None;
        for _ in 0..RACES {
            let due_at = found.as_ref().map(|item| read_number(item, "due_at").unwrap_or_default());
            let opens = due_at.is_none_or(|due_at| due_at <= now);
            let mut change = Change::default()
                .set("category", text(notice.category))
                .set("event_type", text(notice.event_type))
                .set("reason", text(notice.reason))
                .set("severity", text(notice.severity))
                .set("waiting", text(SK))
                .add("count", 1)
                .keep_or_set("first_at", number(now))
                .set("last_at", number(now))
                .set("counted_by", text(&token))
                .set("expires_at", number(now + LIFETIME))
                .returns_all();
            let mut condition = "attribute_not_exists(pk)".to_owned();
            if let Some(due_at) = due_at {
                change = change.compare("due_at").value("found", number(due_at));
                "#due_at = :found".clone_into(&mut condition);
            }
            if opens {
                change = change.set("due_at", number(now + TELLING)).set("token", text(&token));
            }
            if found.as_ref().is_none_or(|item| ids(item).count() < MAX_IDS) {
                let most = number(MAX_IDS.try_into().unwrap_or(i64::MAX));
                change = change.append("ids", vec![text(notice.id)]).value("most", most);
                condition.push_str(" AND (attribute_not_exists(#ids) OR size(#ids) < :most)");
            }
            let (made, item) = match self.change(ACTION, &pk, SK, change, &condition).await? {
                WriteResult::Yes(item) => (true, item),
                // The SDK tried twice: the first try was made, but its answer got lost.
                WriteResult::No(item) => {
                    (["counted_by", "token"].iter().any(|name| read_text(&item, name) == Some(&token)), item)
                }
            };
            if made {
                return Ok(opens.then(|| AlertGroup::read(pk, token, &item, Some(now))));
            }
            found = Some(item);
        }
        Err(AwsError::new(ACTION, "others kept writing the same item"))
    }

    /// Groups whose window is over, that nobody was told of. Needs `dynamodb:Query` on the index `by-due`.
    pub(crate) async fn waiting_alerts(&self) -> Result<Vec<Waiting>, AwsError> {
        Ok(self.waiting(SK, now() / 1000 + 1, None, MAX_GROUPS).await?.items)
    }

    /// Takes a group to tell of it, unless somebody else has.
    pub(crate) async fn take_alerts(&self, waiting: &Waiting) -> Result<Option<AlertGroup>, AwsError> {
        let (pk, token, now) = (waiting.object_id.clone(), random_token(), now() / 1000);
        let change = Change::default()
            .set("due_at", number(now + TELLING))
            .set("token", text(&token))
            .compare("count")
            .value("now", number(now))
            .returns_all();
        let condition = "attribute_exists(#count) AND #due_at <= :now";
        Ok(match self.change("take the alerts", &pk, SK, change, condition).await? {
            WriteResult::Yes(item) => Some(AlertGroup::read(pk, token, &item, None)),
            WriteResult::No(item) if read_text(&item, "token") == Some(&token) => {
                Some(AlertGroup::read(pk, token, &item, None))
            }
            WriteResult::No(_) => None,
        })
    }

    /// Forgets the alerts of a group that SNS took. Those that were counted meanwhile stay.
    pub(crate) async fn alerts_told(&self, group: &AlertGroup) -> Result<(), AwsError> {
        const ACTION: &str = "forget the alerts that were told";
        let due_at = group.opened_at.map_or(0, |opened_at| opened_at + WINDOW);
        let told = || {
            let change = Change::default().set("due_at", number(due_at)).compare("token").compare("count");
            change.value("holder", text(&group.token)).value("told", number(group.count))
        };
        let all = ["waiting", "count", "first_at", "last_at", "ids"].into_iter().fold(told(), Change::remove);
        let condition = "#token = :holder AND #count = :told";
        if let WriteResult::No(item) = self.change(ACTION, &group.pk, SK, all, condition).await?
            && read_number(&item, "count").is_some_and(|count| count > group.count)
        {
            let some = told()
                .add("count", -group.count)
                .set("first_at", number(group.last_at))
                .remove_first("ids", group.ids.len());
            self.change(ACTION, &group.pk, SK, some, "#token = :holder AND #count > :told").await?;
        }
        Ok(())
    }

    /// Gives a group back that could not be told of: whoever comes next tells.
    pub(crate) async fn alerts_untold(&self, group: &AlertGroup) -> Result<(), AwsError> {
        let change = Change::default().set("due_at", number(0)).compare("token").value("holder", text(&group.token));
        self.change("give the alerts back", &group.pk, SK, change, "#token = :holder").await.map(drop)
    }
}

impl AlertGroup {
    fn read(pk: String, token: String, item: &Item, opened_at: Option<i64>) -> Self {
        let said = |name| read_text(item, name).unwrap_or_default().to_owned();
        let count = |name| read_number(item, name).unwrap_or_default();
        Self {
            category: said("category"),
            event_type: said("event_type"),
            reason: said("reason"),
            severity: said("severity"),
            count: count("count"),
            first_at: count("first_at"),
            last_at: count("last_at"),
            ids: ids(item).map(str::to_owned).collect(),
            pk,
            token,
            opened_at,
        }
    }
}

fn ids(item: &Item) -> impl Iterator<Item = &str> {
    let ids = item.get("ids").and_then(|ids| ids.as_l().ok());
    ids.into_iter().flatten().filter_map(|id| id.as_s().ok().map(String::as_str))
}

/// Alerts of another severity are another kind: none hides behind a lesser one.
fn pk(notice: &Notice<'_>) -> String {
    format!("{PREFIX}{}#{}#{}", notice.category, notice.reason, notice.severity)
}
