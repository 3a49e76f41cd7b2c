//! Reads the books: queues, ledger and bucket. What does not fit is read a second time, since the system works meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hooks_aws::artifacts::Artifacts;
use hooks_aws::clock::now_ms;
use hooks_aws::ledger::{IdempotencyRecord, Item};
use hooks_aws::queue::{ENDPOINT, WEBHOOK_ID};
use hooks_protocol::Status;
use hooks_webhook::{Category, Event};
use serde::Serialize;
use tokio::time::sleep;

use super::judge::{Case, Fault, Queues, State, Verdict};
use crate::aws::{DeadLetter, Entries, Entry, EventFilter, EventLog, LedgerItem};
use crate::calls::Calls;
use crate::context::Context;
use crate::dlq;
use crate::error::Result;
use crate::queue_status::QueueStatus;
use crate::timestamp::Timestamp;

/// Maximum number of events that are looked at in parallel.
const PARALLEL: usize = 32;

/// Number of events of the index that are looked at before the next ones are read.
const PAGE: usize = 200;

/// Maximum number of events that are kept for the second look.
const MAX_SUSPECTS: usize = 1_000;

/// Time before the second look: an attempt makes its last writes within it.
const PAUSE: Duration = Duration::from_secs(2);

const DAY_MILLIS: i64 = 86_400_000;

/// Result of an audit.
#[derive(Default)]
pub(super) struct Books {
    /// Number of events by where they stand.
    counts: BTreeMap<State, u64>,
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
    pub(super) kind: Fault,
    /// Endpoint and webhook id, joined by `/`.
    pub(super) event: String,
    pub(super) idempotency_key: String,
    #[serde(rename = "type")]
    pub(super) event_type: Option<String>,
    pub(super) object_id: Option<String>,
    pub(super) detail: String,
    pub(super) fix: String,
}

/// An idempotency key and the event that holds its record: endpoint and webhook id, joined by `#`.
type Suspect = (String, String);

/// What is looked at.
enum Subject {
    Event(Box<Entry>),
    Record(String, Box<IdempotencyRecord>),
    Suspect(Suspect),
}

/// What was seen of an event.
struct Look {
    suspect: Suspect,
    record: Option<IdempotencyRecord>,
    event: Option<Entry>,
    has_letter: bool,
    missing: Vec<String>,
    judged: std::result::Result<State, Fault>,
}

/// Events in the order in which they are read.
enum Source {
    Ledger { start: Option<Item>, is_over: bool },
    Index(Box<Entries>),
}

/// Everything that a look reads from. Cheap to clone.
#[derive(Clone)]
struct Reader {
    log: EventLog,
    artifacts: Artifacts,
    /// How long artifacts are kept, in milliseconds.
    retention: i64,
    letters: Arc<HashSet<String>>,
}

/// The queues at one moment.
#[derive(Default)]
struct AllQueues {
    by_category: BTreeMap<Category, Queues>,
    /// Events with a dead letter: endpoint and webhook id, joined by `#`.
    letters: HashSet<String>,
    letter_count: usize,
}

/// Audits the events received since then, or else the whole ledger.
pub(super) async fn survey(since: Option<Timestamp>, context: &Context) -> Result<Books> {
    let queues = AllQueues::read(context).await?;
    let log = context.event_log().await?;
    let retention = context.parameter("ArtifactRetentionDays").await?.and_then(|days| days.parse::<i64>().ok());
    let mut reader = Reader {
        log: log.clone(),
        artifacts: Artifacts::new(context.aws().await?, context.output("BucketName").await?),
        retention: retention.filter(|days| *days > 0).map_or(i64::MAX, |days| days.saturating_mul(DAY_MILLIS)),
        letters: Arc::new(queues.letters),
    };
    let mut books = Books { dead_letters: queues.letter_count, ..Books::default() };
    let (mut waiting, mut suspects) = (BTreeMap::<Option<Category>, u64>::new(), BTreeSet::new());
    let mut note = |look: Look| match look.judged {
        Ok(state) => *books.counts.entry(state).or_default() += 1,
        Err(fault) => {
            if fault == Fault::NoMessage {
                *waiting.entry(look.category()).or_default() += 1;
            }
            if suspects.len() < MAX_SUSPECTS || suspects.contains(&look.suspect) {
                suspects.insert(look.suspect);
            } else {
                books.more += 1;
            }
        }
    };
    let spinner = context.out.spinner("Reading the ledger");
    let mut source = match since {
        None => Source::Ledger { start: None, is_over: false },
        Some(since) => {
            let filter = EventFilter { since: since.0, until: i64::MAX, ..EventFilter::default() };
            Source::Index(Box::new(log.entries(filter)))
        }
    };
    let (mut calls, mut count) = (Calls::new(PARALLEL), 0);
    while let Some(subjects) = source.page(&log).await? {
        for subject in subjects {
            let reader = reader.clone();
            let look = calls.begin(async move { Box::pin(reader.look(subject)).await }).await?;
            look.flatten().into_iter().for_each(&mut note);
            count += 1;
        }
        spinner.set_message(format!("Reading the ledger: {count} items"));
    }
    while let Some(look) = calls.next().await? {
        look.into_iter().for_each(&mut note);
    }
    if suspects.is_empty() {
        books.messages = queues.by_category.values().map(|queues| queues.messages).sum();
        return Ok(books);
    }
    spinner.set_message("Looking again at what does not fit");
    sleep(PAUSE).await;
    let queues = AllQueues::read(context).await?;
    books.messages = queues.by_category.values().map(|queues| queues.messages).sum();
    reader.letters = Arc::new(queues.letters);
    books.settle(&reader, suspects, &queues.by_category, &waiting).await?;
    Ok(books)
}

impl Books {
    pub(super) fn count(&self, state: State) -> u64 {
        self.counts.get(&state).copied().unwrap_or(0)
    }

    /// Number of events that are where they belong.
    pub(super) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Looks a second time. The queues were read in between: what a message or a letter explained before is seen now.
    async fn settle(
        &mut self,
        reader: &Reader,
        suspects: BTreeSet<Suspect>,
        queues: &BTreeMap<Category, Queues>,
        waiting: &BTreeMap<Option<Category>, u64>,
    ) -> Result<()> {
        let mut calls = Calls::new(PARALLEL);
        let mut looks = Vec::new();
        for suspect in suspects {
            let reader = reader.clone();
            looks.extend(calls.begin(async move { Box::pin(reader.look(Subject::Suspect(suspect))).await }).await?);
        }
        while let Some(look) = calls.next().await? {
            looks.push(look);
        }
        for look in looks.into_iter().flatten() {
            let (category, case) = (look.category(), look.case());
            let of_category = |(one, _): &(&Category, &Queues)| category.is_none_or(|category| category == **one);
            let mut around = Queues { waiting: waiting.get(&category).copied().unwrap_or(0), ..Queues::default() };
            for (_, queues) in queues.iter().filter(of_category) {
                around.messages += queues.messages;
                around.held += queues.held;
            }
            match look.judged.map_or_else(|fault| case.verdict(fault, around), Verdict::Closed) {
                Verdict::Closed(state) => *self.counts.entry(state).or_default() += 1,
                Verdict::Note(fault) => self.notes.push(look.finding(fault, None)),
                Verdict::Uncertain(fault, why) => self.uncertain.push(look.finding(fault, Some(why))),
                Verdict::Mismatch(fault) => self.mismatches.push(look.finding(fault, None)),
            }
        }
        Ok(())
    }
}

impl Source {
    /// The next subjects; `None` after the last.
    async fn page(&mut self, log: &EventLog) -> Result<Option<Vec<Subject>>> {
        match self {
            Self::Ledger { is_over: true, .. } => Ok(None),
            Self::Ledger { start, is_over } => {
                let (items, next) = log.page(start.take()).await?;
                (*is_over, *start) = (next.is_none(), next);
                let subject = |item| match item {
                    LedgerItem::Event(event) => Subject::Event(event),
                    LedgerItem::Record(key, record) => Subject::Record(key, record),
                };
                Ok(Some(items.into_iter().map(subject).collect()))
            }
            Self::Index(entries) => {
                let mut page = Vec::new();
                while page.len() < PAGE {
                    let Some(entry) = entries.next().await? else { break };
                    page.push(Subject::Event(Box::new(entry)));
                }
                Ok(Some(page).filter(|page| !page.is_empty()))
            }
        }
    }
}

impl Reader {
    /// Reads what belongs together, and judges it. `None` for a record whose event is looked at by itself, and for what
    /// has expired meanwhile.
    async fn look(&self, subject: Subject) -> Result<Option<Look>> {
        let (key, record, event) = match subject {
            Subject::Event(entry) => {
                // The index has no bodies.
                let is_whole = entry.body.is_some() || entry.body_omitted.is_some();
                let event = if is_whole { Some(*entry) } else { self.log.entry(&entry.key()).await? };
                let Some(event) = event else { return Ok(None) };
                let Some(key) = event.idempotency_key() else {
                    let suspect = (String::new(), event.key());
                    let (record, has_letter, missing, judged) = (None, false, Vec::new(), Ok(State::Unchecked));
                    return Ok(Some(Look { suspect, record, event: Some(event), has_letter, missing, judged }));
                };
                (key.clone(), self.log.idempotency_record(&key).await?, Some(event))
            }
            Subject::Record(key, record) => {
                if self.log.entry(&record.event).await?.is_some() {
                    return Ok(None);
                }
                (key, Some(*record), None)
            }
            Subject::Suspect((key, event)) => {
                (key.clone(), self.log.idempotency_record(&key).await?, self.log.entry(&event).await?)
            }
        };
        let Some(id) = event.as_ref().map(Entry::key).or_else(|| record.as_ref().map(|record| record.event.clone()))
        else {
            return Ok(None);
        };
        let missing = match &record {
            Some(record) if record.event == id => self.missing(record).await?,
            _ => Vec::new(),
        };
        let has_letter = self.letters.contains(&id);
        let case =
            Case { record: record.as_ref(), event: event.as_ref(), has_letter, missing: &missing, now: now_ms() };
        let judged = case.judge();
        Ok(Some(Look { suspect: (key, id), record, event, has_letter, missing, judged }))
    }

    /// Artifacts that the record of an event that is done names, and the bucket lacks.
    async fn missing(&self, record: &IdempotencyRecord) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        let ended_at = record.ended_at.unwrap_or(record.claimed_at);
        if matches!(record.status, Status::Completed | Status::NotFound)
            && now_ms() < ended_at.saturating_add(self.retention)
            && let Some((_, artifacts, _)) = &record.outcome
        {
            for key in artifacts {
                if !self.artifacts.exists(key).await? {
                    missing.push(key.clone());
                }
            }
        }
        Ok(missing)
    }
}

impl Look {
    fn case(&self) -> Case<'_> {
        let Self { record, event, has_letter, missing, .. } = self;
        Case { record: record.as_ref(), event: event.as_ref(), has_letter: *has_letter, missing, now: now_ms() }
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
        let (key, event) = &self.suspect;
        let case = self.case();
        Finding {
            kind,
            event: event.replacen('#', "/", 1),
            idempotency_key: key.clone(),
            event_type: self.event.as_ref().map(|event| event.event_type.clone()),
            object_id: self.event.as_ref().and_then(|event| event.object_id.clone()),
            detail: match why_uncertain {
                Some(why) => format!("{}. Not certain: {why}", case.detail(kind)),
                None => case.detail(kind),
            },
            fix: match why_uncertain {
                Some(_) => "openai-webhooks audit".to_owned(),
                None => case.fix(key),
            },
        }
    }
}

impl AllQueues {
    /// Counts the messages, and reads the dead letters. A letter that another reader holds is counted, but not seen.
    async fn read(context: &Context) -> Result<Self> {
        let mut all = Self::default();
        for status in QueueStatus::depths(context).await? {
            let dead = status.depths?.dead;
            all.by_category.insert(status.category, Queues { held: dead.total(), ..Queues::default() });
        }
        let event =
            |letter: &DeadLetter| Some(format!("{}#{}", letter.attribute(ENDPOINT)?, letter.attribute(WEBHOOK_ID)?));
        let letters = dlq::peek(context, None, usize::MAX, move |category, letter| Some((category, event(&letter))));
        for (category, event) in letters.await? {
            let queues = all.by_category.entry(category).or_default();
            queues.held = queues.held.saturating_sub(1);
            all.letter_count += 1;
            all.letters.extend(event);
        }
        // After the letters: one that was redriven in between is counted here.
        for status in QueueStatus::depths(context).await? {
            all.by_category.entry(status.category).or_default().messages = status.depths?.queue.total();
        }
        Ok(all)
    }
}

impl Entry {
    /// The idempotency key; `None` without a body.
    fn idempotency_key(&self) -> Option<String> {
        Some(Event::parse(self.body.as_deref()?).ok()?.idempotency_key().to_string())
    }
}
