//! Going through one of OpenAI's lists, from the newest entry to the oldest that matters.

use aws::ledger::Bookmark;
use futures::{StreamExt, TryStreamExt, stream};
use openai::Client;
use tokio::time::Instant;

use crate::desk::Books;
use crate::ending::Ending;
use crate::fault::Fault;
use crate::kind::Kind;

/// How far back an ending may lie, in seconds. OpenAI tries a webhook for three days; a week leaves time to notice that
/// nothing worked. Effects are kept for 35 days, so none of these has been forgotten.
const LOOK_BACK: i64 = 7 * 24 * 60 * 60;

/// How far back the very first walk looks, in seconds: a new stack does not announce what ended long before it.
const FIRST_LOOK_BACK: i64 = 24 * 60 * 60;

/// How long ago something must have ended, in seconds: till then its webhook is just under way.
pub(crate) const GRACE: i64 = 15 * 60;

/// How many endings are looked up at a time.
const CONCURRENT: usize = 8;

/// How much of a list is gone through at once. The next walk goes on where this one stopped.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// How many pages.
    pub(crate) pages: usize,
    /// After how many events no further page is begun.
    pub(crate) sent: usize,
    /// How many entries a page has.
    pub(crate) page: u8,
}

impl Bounds {
    pub(crate) const USUAL: Self = Self { pages: 100, sent: 1000, page: 100 };
}

/// What came of a walk.
#[derive(Default)]
pub(crate) struct Walked {
    pub(crate) pages: usize,
    pub(crate) entries: usize,
    /// How many events were put into a queue.
    pub(crate) sent: usize,
    /// Whether it came to the end of what matters. If not, the next walk goes on.
    pub(crate) finished: bool,
    pub(crate) fault: Option<Fault>,
}

/// Goes through a list and sends the events of those that ended without one. `now` is in Unix seconds.
pub(crate) async fn walk(
    kind: Kind,
    openai: &Client,
    books: &impl Books,
    bounds: Bounds,
    now: i64,
    until: Instant,
) -> Walked {
    let mut walked = Walked::default();
    walked.fault = go(kind, openai, books, bounds, now, until, &mut walked).await.err();
    walked
}

async fn go(
    kind: Kind,
    openai: &Client,
    books: &impl Books,
    bounds: Bounds,
    now: i64,
    until: Instant,
    walked: &mut Walked,
) -> Result<(), Fault> {
    let begun = books.bookmark(kind).await?.unwrap_or(Bookmark { since: now - FIRST_LOOK_BACK, after: None });
    let since = begun.since;
    let matters = since.max(now - LOOK_BACK)..=now - GRACE;
    let mut after = begun.after;
    let mut began_anew = false;
    while walked.pages < bounds.pages && walked.sent < bounds.sent && Instant::now() < until {
        let page = match kind.page(openai, after.as_deref(), bounds.page, until).await {
            Ok(page) => page,
            // The entry to go on behind is not there any more.
            Err(error) if after.is_some() && !began_anew && matches!(error.status(), Some(400 | 404)) => {
                (after, began_anew) = (None, true);
                continue;
            }
            Err(error) => {
                if after.is_some() {
                    books.set_bookmark(kind, &Bookmark { since, after }).await?;
                }
                return Err(error.into());
            }
        };
        walked.pages += 1;
        walked.entries += page.entries;
        let lost = lost(books, page.endings.into_iter().filter(|ending| matters.contains(&ending.at))).await?;
        for ending in &lost {
            books.send(ending).await?;
            walked.sent += 1;
        }
        let none_left = page.oldest.is_some_and(|oldest| oldest < matters.start() - kind.longest_life());
        after = page.next.filter(|_| !none_left);
        if after.is_none() {
            walked.finished = true;
            break;
        }
    }
    books.set_bookmark(kind, &Bookmark { since, after }).await
}

/// Those endings that nobody knows of.
async fn lost(books: &impl Books, endings: impl Iterator<Item = Ending>) -> Result<Vec<Ending>, Fault> {
    let looked_up = stream::iter(endings).map(async |ending| Ok((books.is_known(&ending).await?, ending)));
    let unknown = |(known, ending): (bool, Ending)| std::future::ready(Ok((!known).then_some(ending)));
    looked_up.buffer_unordered(CONCURRENT).try_filter_map(unknown).try_collect().await
}

#[cfg(test)]
mod tests;
