//! Carries COPY from one server to another, without touching the rows.
//!
//! Rows come as one message each and leave as messages of 64 KiB and more: the target reads one
//! message at a time. No message is ever held whole, so that a value of a gigabyte takes no more
//! memory than any other. The target is listened to all the time: after an error it would go on
//! taking data and drop it.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the messages of the protocol are an open list of another crate"
)]

mod source;
mod target;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join;
use pgkedge_model::{Failure, quote_literal};
use tokio::time::Instant;

use crate::Wire;
use crate::sqlstate::Report;
use source::{Next, Source, Taken};
use target::Target;

/// How long a side may take to get back to where it takes queries, before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);
const PROGRESS_BYTES: u64 = 1024 * 1024;
const PROGRESS_TIME: Duration = Duration::from_millis(100);

/// What one COPY has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// As both servers counted them.
    pub rows: u64,
    /// Bytes of data, without the protocol's own.
    pub bytes: u64,
}

/// Who ended a relay, and how.
enum Stopped {
    Source(Report),
    Target(Report),
    /// A connection was lost or of no use any more; it knows which itself.
    Broken(Failure),
}

/// Sends `out_sql` (`copy … to stdout`) to the source and `in_sql` (`copy … from stdin`) to the
/// target, each as one query, and carries the data of the first to the first, and so on.
///
/// `progress` is told bytes and about how many rows, ten times a second at most or every MiB.
/// After an error both connections take queries again, or are closed; the failure is that of the
/// side that failed first.
pub async fn relay(
    source: &mut Wire,
    out_sql: &[String],
    target: &mut Wire,
    in_sql: &[String],
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Vec<Copied>, Failure> {
    if out_sql.len() != in_sql.len() {
        let message = format!("{} COPYs out and {} COPYs in", out_sql.len(), in_sql.len());
        return Err(Failure::permanent(message));
    }
    if out_sql.is_empty() {
        return Ok(Vec::new());
    }
    let (out_query, in_query) = (query(source, out_sql), query(target, in_sql));
    source.send_query(&out_query).await?;
    let mut relay = Relay {
        source: Source::new(source),
        target: Target::new(target),
        progress,
        reported: (0, Instant::now()),
    };
    let result = match relay.target.wire.send_query(&in_query).await {
        Ok(()) => relay.run(out_sql.len()).await,
        Err(failure) => Err(Stopped::Broken(failure)),
    };
    match result {
        Ok(copied) => Ok(copied),
        Err(stopped) => Err(relay.stop(stopped).await),
    }
}

/// All COPYs as one query. Statements are UTF-8 whatever the data is: a query is read before its
/// first `set` is done. An error takes the setting back, the last statement does otherwise.
fn query(wire: &Wire, copies: &[String]) -> String {
    let copies = copies.join(";\n");
    match wire.copy_encoding() {
        None => copies,
        Some(encoding) => format!(
            "set client_encoding to {};\n{copies};\nset client_encoding to 'UTF8'",
            quote_literal(encoding)
        ),
    }
}

struct Relay<'a> {
    source: Source<'a>,
    target: Target<'a>,
    progress: &'a (dyn Fn(u64, u64) + Send + Sync),
    reported: (u64, Instant),
}

impl Relay<'_> {
    async fn run(&mut self, copies: usize) -> Result<Vec<Copied>, Stopped> {
        let mut copied = Vec::with_capacity(copies);
        for number in 1..=copies {
            let before = self.source.bytes;
            let format = self.open().await?;
            self.pump().await?;
            // The target may commit at its last CopyDone: by then the source must be through.
            let rows = self.close(number == copies).await?;
            self.target.expect_copy(format, rows);
            self.target.copy_done();
            self.deliver().await?;
            copied.push(Copied { rows, bytes: self.source.bytes - before });
        }
        poll_fn(|cx| self.target.poll_ready(cx)).await?;
        self.target.check()?;
        (self.progress)(self.source.bytes, self.source.messages);
        Ok(copied)
    }

    /// Waits for the source to begin a COPY; returns its format.
    async fn open(&mut self) -> Result<u8, Stopped> {
        loop {
            match self.next().await? {
                Next::Begun(format) => return Ok(format),
                Next::Completed(None) => {}
                Next::Completed(Some(_)) | Next::Done | Next::Ready => {
                    return Err(self.source.unexpected());
                }
            }
        }
    }

    /// Carries the data of one COPY.
    async fn pump(&mut self) -> Result<(), Stopped> {
        loop {
            let at_message = self.source.walk(self.target.output.data())?;
            if at_message || self.target.output.is_worth_sending() {
                self.target.output.seal();
                self.deliver().await?;
                self.report();
            }
            let taken = if at_message { self.source.take()? } else { Taken::Incomplete };
            match taken {
                Taken::Next(Next::Done) => return Ok(()),
                Taken::Next(_) => return Err(self.source.unexpected()),
                Taken::Skipped => {}
                Taken::Incomplete => self.fill().await?,
            }
        }
    }

    /// Waits for the source to complete a COPY, and its whole query after the last; returns the
    /// rows that it counted.
    async fn close(&mut self, last: bool) -> Result<u64, Stopped> {
        let mut counted = None;
        loop {
            match (self.next().await?, counted) {
                (Next::Completed(Some(rows)), None) if !last => return Ok(rows),
                (Next::Completed(Some(rows)), None) => counted = Some(rows),
                (Next::Completed(None), _) => {}
                (Next::Ready, Some(rows)) => return Ok(rows),
                _ => return Err(self.source.unexpected()),
            }
        }
    }

    async fn next(&mut self) -> Result<Next, Stopped> {
        loop {
            match self.source.take()? {
                Taken::Next(next) => return Ok(next),
                Taken::Skipped => {}
                Taken::Incomplete => self.fill().await?,
            }
        }
    }

    /// Reads from the source, while listening to the target.
    async fn fill(&mut self) -> Result<(), Stopped> {
        poll_fn(|cx| {
            if let Poll::Ready(stopped) = self.target.poll_stopped(cx) {
                return Poll::Ready(Err(stopped));
            }
            self.source.wire.poll_fill(cx).map_err(Stopped::Broken)
        })
        .await
    }

    /// Writes to the target, while listening to it.
    async fn deliver(&mut self) -> Result<(), Stopped> {
        let delivered = poll_fn(|cx| {
            if let Poll::Ready(stopped) = self.target.poll_stopped(cx) {
                return Poll::Ready(Err(stopped));
            }
            self.target.poll_deliver(cx).map_err(Stopped::Broken)
        })
        .await;
        match delivered {
            // Why the server hung up may be on its way.
            Err(Stopped::Broken(failure)) => Err(self.target.last_words(failure).await),
            other => other,
        }
    }

    fn report(&mut self) {
        let (bytes, at) = self.reported;
        if self.source.bytes - bytes >= PROGRESS_BYTES || at.elapsed() >= PROGRESS_TIME {
            (self.progress)(self.source.bytes, self.source.messages);
            self.reported = (self.source.bytes, Instant::now());
        }
    }

    /// Brings both sides back to where they take queries, or closes them.
    async fn stop(self, stopped: Stopped) -> Failure {
        let Self { source, target, .. } = self;
        let failure = match stopped {
            Stopped::Source(report) => source.wire.failure(report, ""),
            Stopped::Target(report) => target.wire.failure(report, ""),
            Stopped::Broken(failure) => failure,
        };
        let (source, target) = join(source.abandon(), target.abandon()).await;
        for given_up in [source, target].into_iter().filter_map(Result::err) {
            tracing::debug!(%given_up, "a connection of a failed COPY was closed");
        }
        failure
    }
}

/// The rows that a command tag counts, if it is one of COPY.
fn copied_rows(tag: &str) -> Option<u64> {
    tag.strip_prefix("COPY ")?.parse().ok()
}
