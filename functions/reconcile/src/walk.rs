//! Going through one of OpenAI's lists, from the newest entry to the oldest that matters.

use futures::{StreamExt, TryStreamExt, stream};
use hooks_aws::ledger::Bookmark;
use hooks_openai::Client;
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

/// A walk through one list.
pub(crate) struct Walk<'a, B> {
    pub(crate) kind: Kind,
    pub(crate) openai: &'a Client,
    pub(crate) books: &'a B,
    pub(crate) bounds: Bounds,
    /// In Unix seconds.
    pub(crate) now: i64,
    /// When no further page is begun.
    pub(crate) until: Instant,
}

impl<B: Books> Walk<'_, B> {
    /// Goes through the list and sends the events of those that ended without one.
    pub(crate) async fn walk(&self) -> Walked {
        let mut walked = Walked::default();
        walked.fault = self.resume(&mut walked).await.err();
        walked
    }

    async fn resume(&self, walked: &mut Walked) -> Result<(), Fault> {
        let first = Bookmark { since: self.now - FIRST_LOOK_BACK, after: None };
        let mut place = self.books.bookmark(self.kind).await?.unwrap_or(first);
        let gone = self.go(&mut place, walked).await;
        // After a fault at the top nothing is written: a very first look is still to come then.
        if gone.is_ok() || place.after.is_some() {
            self.books.set_bookmark(self.kind, &place).await?;
        }
        gone
    }

    /// Goes on from a place and moves it with each page.
    async fn go(&self, place: &mut Bookmark, walked: &mut Walked) -> Result<(), Fault> {
        let Self { kind, openai, books, bounds, now, until } = *self;
        let matters = place.since.max(now - LOOK_BACK)..=now - GRACE;
        let mut began_anew = false;
        while walked.pages < bounds.pages && walked.sent < bounds.sent && Instant::now() < until {
            let page = match kind.page(openai, place.after.as_deref(), bounds.page, until).await {
                Ok(page) => page,
                // The entry to go on behind is not there any more.
                Err(error) if place.after.is_some() && !began_anew && matches!(error.status(), Some(400 | 404)) => {
                    (place.after, began_anew) = (None, true);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            walked.pages += 1;
            walked.entries += page.entries;
            for ending in lost(books, page.endings.into_iter().filter(|ending| matters.contains(&ending.at))).await? {
                books.send(&ending).await?;
                walked.sent += 1;
            }
            let none_left = page.oldest.is_some_and(|oldest| oldest < matters.start() - kind.longest_life());
            place.after = page.next.filter(|_| !none_left);
            if place.after.is_none() {
                walked.finished = true;
                break;
            }
        }
        Ok(())
    }
}

/// Those endings that nobody knows of.
async fn lost(books: &impl Books, endings: impl Iterator<Item = Ending>) -> Result<Vec<Ending>, Fault> {
    let looked_up = stream::iter(endings).map(async |ending| Ok((books.is_known(&ending).await?, ending)));
    let unknown = |(known, ending): (bool, Ending)| std::future::ready(Ok((!known).then_some(ending)));
    looked_up.buffer_unordered(CONCURRENT).try_filter_map(unknown).try_collect().await
}

#[cfg(test)]
mod tests;
