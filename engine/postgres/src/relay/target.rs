//! The side that rows go to.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pgkedge_model::Failure;
use postgres_protocol::message::backend::{COPY_DATA_TAG, Message};
use postgres_protocol::message::frontend;
use tokio::time::timeout;

use super::{PATIENCE, Stopped, copied_rows};
use crate::Wire;
use crate::sqlstate::Report;

/// What is worth a message and a write.
const ENOUGH: usize = 64 * 1024;
const HEADER: usize = 5;
/// How long to listen for the reason after a write has failed.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) struct Target<'a> {
    pub(super) wire: &'a mut Wire,
    pub(super) output: Output,
    /// Format and rows of the COPYs that were sent to it.
    expected: Vec<(u8, u64)>,
    formats: Vec<u8>,
    rows: Vec<u64>,
    failed: bool,
    ready: bool,
}

/// Messages on their way to the target, the last of them maybe still growing.
#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    written: usize,
    /// The bytes are a data message whose length is not known yet.
    growing: bool,
}

impl Output {
    /// Where data is appended.
    pub(super) fn data(&mut self) -> &mut Vec<u8> {
        if !self.growing {
            self.bytes.extend_from_slice(&[COPY_DATA_TAG, 0, 0, 0, 0]);
            self.growing = true;
        }
        &mut self.bytes
    }

    pub(super) fn is_worth_sending(&self) -> bool {
        self.bytes.len() >= ENOUGH
    }

    /// Ends the data message; an empty one is taken back.
    pub(super) fn seal(&mut self) {
        if self.growing {
            self.growing = false;
            if self.bytes.len() == HEADER {
                self.bytes.clear();
            } else {
                // The length counts itself, but not the tag. What is read at once bounds it.
                let length = u32::try_from(self.bytes.len() - 1).unwrap_or(u32::MAX);
                self.bytes[1..HEADER].copy_from_slice(&length.to_be_bytes());
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn drop_growing(&mut self) {
        if self.growing {
            self.growing = false;
            self.bytes.clear();
        }
    }

    fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
        }
    }
}

impl<'a> Target<'a> {
    pub(super) fn new(wire: &'a mut Wire) -> Self {
        Self {
            wire,
            output: Output::default(),
            expected: Vec::new(),
            formats: Vec::new(),
            rows: Vec::new(),
            failed: false,
            ready: false,
        }
    }

    /// Says what the source has sent for one COPY.
    pub(super) fn expect_copy(&mut self, format: u8, rows: u64) {
        self.expected.push((format, rows));
    }

    pub(super) fn copy_done(&mut self) {
        let mut message = bytes::BytesMut::new();
        frontend::copy_done(&mut message);
        self.output.bytes.extend_from_slice(&message);
    }

    /// Ready when the target has ended the query, which it must not before it has all data.
    pub(super) fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<Stopped> {
        Poll::Ready(match ready!(self.poll_ready(cx)) {
            Ok(()) => self.unexpected(),
            Err(stopped) => stopped,
        })
    }

    /// Listens until the target takes queries again.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        while !self.ready {
            let message = match ready!(self.wire.poll_message(cx)) {
                Ok(message) => message,
                Err(failure) => return Poll::Ready(Err(Stopped::Broken(failure))),
            };
            match message {
                Message::CopyInResponse(body) => self.formats.push(body.format()),
                Message::CommandComplete(body) => {
                    self.rows.extend(body.tag().ok().and_then(copied_rows));
                }
                Message::ErrorResponse(body) => {
                    self.failed = true;
                    let report = Report::of_fields(body.fields());
                    return Poll::Ready(Err(Stopped::Target(report)));
                }
                Message::ReadyForQuery(body) => {
                    self.wire.ready(body.status());
                    self.ready = true;
                }
                _ => return Poll::Ready(Err(self.unexpected())),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what there is.
    pub(super) fn poll_deliver(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        while !self.output.is_empty() {
            let count =
                ready!(self.wire.poll_write(cx, &self.output.bytes[self.output.written..]))?;
            self.output.wrote(count);
        }
        self.wire.poll_flush(cx)
    }

    /// Why a write failed, as the server may have said before it hung up.
    pub(super) async fn last_words(&mut self, failure: Failure) -> Stopped {
        match timeout(LAST_WORDS, poll_fn(|cx| self.poll_ready(cx))).await {
            Ok(Err(Stopped::Target(report))) => Stopped::Target(report),
            _ => Stopped::Broken(failure),
        }
    }

    /// Compares what the target has counted with what the source has.
    pub(super) fn check(&self) -> Result<(), Stopped> {
        let counted: Vec<(u8, u64)> =
            self.formats.iter().copied().zip(self.rows.iter().copied()).collect();
        if counted == self.expected {
            return Ok(());
        }
        let rows = |copies: &[(u8, u64)]| copies.iter().map(|(_, rows)| rows).sum::<u64>();
        let message = format!(
            "{}: {} rows in {} COPYs arrived where {} in {} were sent, or in another format",
            self.wire.server(),
            rows(&counted),
            counted.len(),
            rows(&self.expected),
            self.expected.len()
        );
        Err(Stopped::Broken(Failure::permanent(message)))
    }

    /// Makes the COPY fail, unless it has, and waits until the target takes queries again.
    pub(super) async fn abandon(mut self) -> Result<(), Failure> {
        if self.wire.is_closed() {
            return Ok(());
        }
        self.output.drop_growing();
        if !self.failed && !self.ready {
            let mut message = bytes::BytesMut::new();
            if frontend::copy_fail("the source has failed", &mut message).is_ok() {
                self.output.bytes.extend_from_slice(&message);
            }
        }
        match timeout(PATIENCE, poll_fn(|cx| self.poll_abandoned(cx))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => {
                self.wire.give_up();
                Err(failure)
            }
            Err(_) => Err(self.wire.give_up()),
        }
    }

    /// The rest of a message that was begun must follow: the server waits for it, error or not.
    fn poll_abandoned(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let heard = loop {
            match self.poll_ready(cx) {
                Poll::Ready(Err(Stopped::Source(_) | Stopped::Target(_))) => {}
                Poll::Ready(Err(Stopped::Broken(failure))) => return Poll::Ready(Err(failure)),
                Poll::Ready(Ok(())) => break Poll::Ready(Ok(())),
                Poll::Pending => break Poll::Pending,
            }
        };
        ready!(self.poll_deliver(cx))?;
        heard
    }

    fn unexpected(&mut self) -> Stopped {
        Stopped::Broken(self.wire.broken("a statement was not answered with a COPY in"))
    }
}
