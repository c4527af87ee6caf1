//! The side that rows come from.

use std::future::poll_fn;

use bytes::Buf as _;
use pgkedge_model::Failure;
use postgres_protocol::message::backend::{COPY_DATA_TAG, Header, Message};
use tokio::time::timeout;

use super::{PATIENCE, Stopped, copied_rows};
use crate::Wire;
use crate::sqlstate::Report;

/// Length of a message's tag and length.
const HEADER: usize = 5;

pub(super) struct Source<'a> {
    pub(super) wire: &'a mut Wire,
    /// Bytes of the message that is under way.
    need: usize,
    pub(super) bytes: u64,
    /// Messages with data: in text as many as rows, in binary one more.
    pub(super) messages: u64,
    failed: bool,
    ready: bool,
}

/// What is at the front of the input.
pub(super) enum Taken {
    Next(Next),
    /// Something that may come at any time, and means nothing here.
    Skipped,
    /// The rest of it has to be read first.
    Incomplete,
}

/// A message that is no data.
pub(super) enum Next {
    /// A COPY begins, in this format.
    Begun(u8),
    /// The data of a COPY is through.
    Done,
    /// A statement is complete; the rows that a COPY counted.
    Completed(Option<u64>),
    Ready,
}

impl<'a> Source<'a> {
    pub(super) fn new(wire: &'a mut Wire) -> Self {
        Self { wire, need: 0, bytes: 0, messages: 0, failed: false, ready: false }
    }

    /// Moves data to `out`, up to the first message that is none. Says whether there is one.
    pub(super) fn walk(&mut self, out: &mut Vec<u8>) -> Result<bool, Stopped> {
        loop {
            let input = &mut self.wire.input;
            let here = self.need.min(input.len());
            if here > 0 {
                out.extend_from_slice(&input[..here]);
                input.advance(here);
                self.need -= here;
                self.bytes += here as u64;
            }
            if self.need > 0 {
                return Ok(false);
            }
            match Header::parse(input) {
                Ok(None) => return Ok(false),
                Ok(Some(header)) if header.tag() != COPY_DATA_TAG => return Ok(true),
                Ok(Some(header)) => {
                    // The length counts itself; `parse` has refused less than that.
                    self.need = usize::try_from(header.len() - 4).unwrap_or_default();
                    self.messages += 1;
                    input.advance(HEADER);
                }
                Err(error) => return Err(Stopped::Broken(self.wire.broken(&error.to_string()))),
            }
        }
    }

    /// Takes one message that is no data.
    pub(super) fn take(&mut self) -> Result<Taken, Stopped> {
        let message = match Message::parse(&mut self.wire.input) {
            Ok(None) => return Ok(Taken::Incomplete),
            Ok(Some(message)) => message,
            Err(error) => return Err(Stopped::Broken(self.wire.broken(&error.to_string()))),
        };
        let next = match message {
            Message::CopyOutResponse(body) => Next::Begun(body.format()),
            Message::CopyDone => Next::Done,
            Message::CommandComplete(body) => {
                Next::Completed(body.tag().ok().and_then(copied_rows))
            }
            Message::ReadyForQuery(body) => {
                self.wire.ready(body.status());
                self.ready = true;
                Next::Ready
            }
            Message::ErrorResponse(body) => {
                self.failed = true;
                return Err(Stopped::Source(Report::of_fields(body.fields())));
            }
            message => {
                return if self.wire.is_aside(&message) {
                    Ok(Taken::Skipped)
                } else {
                    Err(self.unexpected())
                };
            }
        };
        Ok(Taken::Next(next))
    }

    /// The server said something that is no part of a COPY.
    pub(super) fn unexpected(&mut self) -> Stopped {
        Stopped::Broken(self.wire.broken("a statement was not answered with a COPY out"))
    }

    /// Ends the query, unless it has ended, and drops what is still under way.
    pub(super) async fn abandon(mut self) -> Result<(), Failure> {
        if self.wire.is_closed() || self.ready {
            return Ok(());
        }
        let answer = timeout(PATIENCE, async {
            if !self.failed {
                self.wire.canceller().request().await?;
            }
            self.drain().await
        });
        match answer.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => {
                self.wire.give_up();
                Err(failure)
            }
            Err(_) => Err(self.wire.give_up()),
        }
    }

    async fn drain(&mut self) -> Result<(), Failure> {
        let mut dropped = Vec::new();
        loop {
            let at_message = self.walk(&mut dropped).or_else(broken)?;
            dropped.clear();
            let taken =
                if at_message { self.take().or_else(broken_next)? } else { Taken::Incomplete };
            match taken {
                Taken::Next(Next::Ready) => return Ok(()),
                Taken::Next(_) | Taken::Skipped => {}
                Taken::Incomplete => poll_fn(|cx| self.wire.poll_fill(cx)).await?,
            }
        }
    }
}

/// Errors of the server are expected while its query is cancelled.
fn broken(stopped: Stopped) -> Result<bool, Failure> {
    match stopped {
        Stopped::Source(_) | Stopped::Target(_) => Ok(false),
        Stopped::Broken(failure) => Err(failure),
    }
}

fn broken_next(stopped: Stopped) -> Result<Taken, Failure> {
    broken(stopped).map(|_| Taken::Skipped)
}
