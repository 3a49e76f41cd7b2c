//! Reads the books: queues, ledger and bucket. What does not fit is read a second time, since the system works meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use hooks_aws::artifacts::Artifacts;
use hooks_aws::clock::now_ms;
use hooks_aws::ledger::IdempotencyRecord;
use hooks_aws::queue::{ENDPOINT, WEBHOOK_ID};
use hooks_protocol::Status;
use hooks_webhook::Category;
use serde::Serialize;
use tokio::time::sleep;

use super::judge::{Case, Fault, Queues, State, Verdict};
use crate::aws::{Entry, EventFilter, EventLog, LedgerItem};
use crate::context::Context;
use crate::dlq;
use crate::error::Result;
use crate::queue_status::QueueStatus;
use crate::timestamp::{DAY_MILLIS, Timestamp};
use hooks_operate::parallel::each;

/// Maximum number of events that are looked at in parallel.
const PARALLEL: usize = 32;

/// Number of events of the index that are looked at before the next ones are read.
const PAGE: usize = 1_000;

/// Maximum number of events that are kept for the second look.
const MAX_SUSPECTS: usize = 1_000;

/// Time before the second look: an attempt makes its last writes within it.
const PAUSE: Duration = Duration::from_secs(2);

/// Result of an audit.
#[derive(Default)]
pub(super) struct Books {
    /// Number of events by where they stand.
    pub(super) counts: BTreeMap<State, u64>,
    pub(super) mismatches: Vec<Finding>,
    /// Findings that may still turn out to be none.
    pub(super) uncertain: Vec<Finding>,
    pub(super) notes: Vec<Finding>,
    /// Number of events that did not fit and were not looked at again, since there are too many.
    pub(super) more: u64,
    pub(super) messages: u64,
    pub(super) dead_letters: usize,
}

/// What does not fit at one event, and how it is mended.
#[derive(Serialize)]
pub(super) struct Finding {
    kind: Fault,
    /// Endpoint and webhook id, joined by `/`.
    pub(super) event: String,
    pub(super) idempotency_key: String,
    #[serde(rename = "type")]
    event_type: Option<String>,
    object_id: Option<String>,
    pub(super) detail: String,
    pub(super) fix: String,
}

/// An idempotency key, and the key of one of its events.
type Suspect = (String, String);

/// Numbers of events by category, if that is known.
type Counts = BTreeMap<Option<Category>, u64>;

/// What was seen of an event.
struct Look {
    suspect: Suspect,
    record: Option<IdempotencyRecord>,
    event: Option<Entry>,
    has_letter: bool,
    missing: Vec<String>,
}

/// Everything that a look reads from.
struct Reader {
    log: EventLog,
    artifacts: Artifacts,
    /// How long artifacts are kept, in milliseconds.
    retention: i64,
    queues: BTreeMap<Category, Queues>,
    /// Keys of the events with a dead letter.
    letters: HashSet<String>,
}

/// Audits the events received since then, or else the whole ledger.
pub(super) async fn survey(since: Option<Timestamp>, context: &Context) -> Result<Books> {
    let mut reader = Reader::new(context).await?;
    let (mut books, mut count) = (Books::default(), 0);
    // Numbers of events that wait for a message, by category: of all, and of those that are not kept.
    let (mut waiting, mut unkept) = (Counts::new(), Counts::new());
    let mut suspects = BTreeSet::new();
    let mut note = |look: Look| match look.case().judge() {
        Ok(state) => *books.counts.entry(state).or_default() += 1,
        Err(fault) => {
            let (waits, category) = (fault == Fault::NoMessage, look.category());
            if waits {
                *waiting.entry(category).or_default() += 1;
            }
            if suspects.len() < MAX_SUSPECTS {
                suspects.insert(look.suspect);
            } else if waits {
                *unkept.entry(category).or_default() += 1;
            } else {
                books.more += 1;
            }
        }
    };
    let spinner = context.out.spinner("Reading the ledger");
    let since = since.map(|since| EventFilter { since: since.0, until: i64::MAX, ..EventFilter::default() });
    let (mut entries, mut start) = (since.map(|filter| reader.log.entries(filter)), None);
    loop {
        let (items, next) = match &mut entries {
            Some(entries) => (entries.page(PAGE).await?, None),
            None => reader.log.page(start).await?,
        };
        count += items.len();
        let is_over = if entries.is_some() { items.is_empty() } else { next.is_none() };
        each(items.into_iter().map(|item| Box::pin(reader.first_look(item))), PARALLEL, |look| {
            look.into_iter().for_each(&mut note);
        })
        .await?;
        if is_over {
            break;
        }
        start = next;
        spinner.set_message(format!("Reading the ledger: {count} items"));
    }
    if !suspects.is_empty() {
        spinner.set_message("Looking again at what does not fit");
        sleep(PAUSE).await;
        reader.read_queues(context).await?;
        let looks = suspects.into_iter().map(|suspect| Box::pin(reader.look(suspect)));
        each(looks, PARALLEL, |look| books.settle(&look, reader.around(look.category(), &waiting))).await?;
        for (category, count) in unkept {
            let queues = reader.around(category, &waiting);
            if queues.messages >= queues.waiting {
                *books.counts.entry(State::Queued).or_default() += count;
            } else {
                books.more += count;
            }
        }
    }
    books.messages = reader.queues.values().map(|queues| queues.messages).sum();
    books.dead_letters = reader.letters.len();
    Ok(books)
}

impl Books {
    pub(super) fn count(&self, state: State) -> u64 {
        self.counts.get(&state).copied().unwrap_or(0)
    }

    /// Takes up a second look. The queues were read before it: what a message or a letter explains is known now.
    fn settle(&mut self, look: &Look, queues: Queues) {
        let case = look.case();
        match case.judge().map_or_else(|fault| case.verdict(fault, queues), Verdict::Closed) {
            Verdict::Closed(state) => *self.counts.entry(state).or_default() += 1,
            Verdict::Note(fault) => self.notes.push(look.finding(fault, None)),
            Verdict::Uncertain(fault, why) => self.uncertain.push(look.finding(fault, Some(why))),
            Verdict::Mismatch(fault) => self.mismatches.push(look.finding(fault, None)),
        }
    }
}

impl Reader {
    async fn new(context: &Context) -> Result<Self> {
        let retention = context.parameter("ArtifactRetentionDays").await?.and_then(|days| days.parse::<i64>().ok());
        let mut reader = Self {
            log: context.event_log().await?,
            artifacts: Artifacts::new(context.aws().await?, context.output("BucketName").await?),
            retention: retention.filter(|days| *days > 0).map_or(i64::MAX, |days| days.saturating_mul(DAY_MILLIS)),
            queues: BTreeMap::new(),
            letters: HashSet::new(),
        };
        reader.read_queues(context).await?;
        Ok(reader)
    }

    /// Counts the messages, and reads the dead letters. A letter that another reader holds is counted, but not seen.
    async fn read_queues(&mut self, context: &Context) -> Result<()> {
        self.queues.clear();
        for status in QueueStatus::depths(context).await? {
            self.queues.insert(status.category, Queues { held: status.depths?.1.total(), ..Queues::default() });
        }
        let letters = dlq::peek(context, None, usize::MAX, |category, letter| {
            let event = letter.attribute(ENDPOINT).zip(letter.attribute(WEBHOOK_ID));
            Some((category, event.map_or_else(|| letter.id.clone(), |(endpoint, id)| format!("{endpoint}#{id}"))))
        });
        self.letters.clear();
        for (category, event) in letters.await? {
            let queues = self.queues.entry(category).or_default();
            queues.held = queues.held.saturating_sub(1);
            self.letters.insert(event);
        }
        // After the letters: one that was redriven in between is counted here.
        for status in QueueStatus::depths(context).await? {
            self.queues.entry(status.category).or_default().messages = status.depths?.0.total();
        }
        Ok(())
    }

    /// Looks at an item. `None` for a record whose event is looked at by itself, and for what has expired meanwhile.
    async fn first_look(&self, item: LedgerItem) -> Result<Option<Look>> {
        Ok(match item {
            LedgerItem::Event(entry) => {
                // The index has no bodies.
                let is_whole = entry.body.is_some() || entry.body_omitted.is_some();
                let event = if is_whole { Some(*entry) } else { self.log.entry(&entry.key()).await? };
                let Some(event) = event else { return Ok(None) };
                let key = event.idempotency_key().unwrap_or_default();
                let record = if key.is_empty() { None } else { self.log.idempotency_record(&key).await? };
                Some(self.seen((key, event.key()), record, Some(event)).await?)
            }
            LedgerItem::Record(key, record) => match self.log.entry(&record.event).await? {
                Some(_) => None,
                None => Some(self.seen((key, record.event.clone()), Some(*record), None).await?),
            },
        })
    }

    async fn look(&self, suspect: Suspect) -> Result<Look> {
        let record = self.log.idempotency_record(&suspect.0).await?;
        let event = self.log.entry(&suspect.1).await?;
        self.seen(suspect, record, event).await
    }

    /// Adds dead letter and artifacts to what the ledger says.
    async fn seen(&self, suspect: Suspect, record: Option<IdempotencyRecord>, event: Option<Entry>) -> Result<Look> {
        let is_kept = |record: &&IdempotencyRecord| {
            record.event == suspect.1
                && matches!(record.status, Status::Completed | Status::NotFound)
                && now_ms() < record.ended_at.unwrap_or(record.claimed_at).saturating_add(self.retention)
        };
        let outcome = record.as_ref().filter(is_kept).and_then(|record| record.outcome.as_ref());
        let mut missing = Vec::new();
        for key in outcome.into_iter().flat_map(|(_, artifacts, _)| artifacts) {
            if !self.artifacts.exists(key).await? {
                missing.push(key.clone());
            }
        }
        Ok(Look { has_letter: self.letters.contains(&suspect.1), suspect, record, event, missing })
    }

    /// The queues of a category, or all of them where it is not known.
    fn around(&self, category: Option<Category>, waiting: &Counts) -> Queues {
        let start = Queues { waiting: waiting.get(&category).copied().unwrap_or(0), ..Queues::default() };
        let queues = self.queues.iter().filter(|(one, _)| category.is_none_or(|category| category == **one));
        queues.fold(start, |sum, (_, one)| Queues {
            messages: sum.messages + one.messages,
            held: sum.held + one.held,
            ..sum
        })
    }
}

impl Look {
    fn case(&self) -> Case<'_> {
        let Self { suspect, record, event, has_letter, missing } = self;
        let (record, event) = (record.as_ref(), event.as_ref());
        Case { key: &suspect.0, record, event, has_letter: *has_letter, missing, now: now_ms() }
    }

    /// The category; `None` if neither the event nor the key tells it.
    fn category(&self) -> Option<Category> {
        match (&self.event, self.suspect.0.split_once('/')) {
            (Some(event), _) => event.category.parse().ok(),
            (None, Some(("call", _))) => Some(Category::Realtime),
            (None, Some((event_type, _))) if event_type.contains('.') => Some(Category::of(event_type)),
            _ => None,
        }
    }

    fn finding(&self, kind: Fault, why_uncertain: Option<&str>) -> Finding {
        let (case, event) = (self.case(), self.event.as_ref());
        let (detail, fix) = match why_uncertain {
            Some(why) => (format!("{}. Not certain: {why}", case.detail(kind)), "openai-webhooks audit".to_owned()),
            None => (case.detail(kind), case.fix()),
        };
        Finding {
            kind,
            event: self.suspect.1.replacen('#', "/", 1),
            idempotency_key: self.suspect.0.clone(),
            event_type: event.map(|event| event.event_type.clone()),
            object_id: event.and_then(|event| event.object_id.clone()),
            detail,
            fix,
        }
    }
}
