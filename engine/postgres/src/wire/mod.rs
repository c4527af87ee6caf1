//! Our own connection: simple queries and COPY, without the copies and the queue between tasks
//! that a general client needs. Owns the protocol after the socket is open.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the messages of the protocol are an open list of another crate"
)]

mod login;
mod replication;

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use pgkedge_model::{Failure, FailureClass, Server, ServerVersion};
use postgres_protocol::message::backend::{DataRowBody, Message, RowDescriptionBody};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};

use crate::cancel::Canceller;
use crate::endpoint::Login;
use crate::row::Row;
use crate::sqlstate::{Report, io_failure, protocol_failure};
use crate::transport::Stream;
pub use replication::{ExportedSnapshot, Replication};

/// What is read at once: fills a cache, not more. Measured; larger gains nothing.
pub(crate) const READ: usize = 256 * 1024;

/// A session that relays COPY.
pub struct Wire {
    server: Server,
    version: ServerVersion,
    pub(crate) stream: Stream,
    /// What was read and not yet understood.
    pub(crate) input: BytesMut,
    output: BytesMut,
    state: State,
    canceller: Canceller,
    /// The encoding of COPY data where it is not the session's own, UTF-8.
    copy_encoding: Option<String>,
    process_id: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    InTransaction,
    /// A query was sent and its `ReadyForQuery` is not here.
    Busy,
    /// Lost, or at a place in the protocol that nobody knows.
    Broken,
}

impl Wire {
    pub(crate) async fn open(
        login: Login<'_>,
        copy_encoding: Option<String>,
    ) -> Result<Self, Failure> {
        let encoding = copy_encoding.filter(|encoding| encoding != "UTF8");
        login::open(&login, login::Purpose::Relay(encoding)).await
    }

    /// Sends statements and returns the rows of all of them.
    pub async fn rows(&mut self, sql: &str) -> Result<Vec<Row>, Failure> {
        self.send_query(sql).await?;
        let mut columns: Arc<[String]> = Arc::default();
        let mut rows = Vec::new();
        let mut failed = None;
        loop {
            match self.next_message(failed.as_ref()).await? {
                Message::RowDescription(body) => columns = self.columns(&body)?,
                Message::DataRow(body) => rows.push(self.row(&columns, &body)?),
                Message::CommandComplete(_) | Message::EmptyQueryResponse => {}
                Message::ErrorResponse(body) => failed = Some(Report::of_fields(body.fields())),
                Message::ReadyForQuery(body) => {
                    self.ready(body.status());
                    return failed.map_or(Ok(rows), |report| Err(self.failure(report, "")));
                }
                _ => return Err(self.broken("a query was answered with COPY")),
            }
        }
    }

    /// Sends statements. Several in one text are one transaction, unless they say otherwise.
    pub async fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        self.rows(sql).await.map(drop)
    }

    /// Cancels what this session does, from elsewhere.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    pub fn server(&self) -> Server {
        self.server
    }

    pub fn server_version(&self) -> ServerVersion {
        self.version
    }

    /// The process of the session, as `pg_stat_activity` names it.
    pub fn process_id(&self) -> i32 {
        self.process_id
    }

    pub fn is_closed(&self) -> bool {
        self.state == State::Broken
    }

    /// Nothing is open, unanswered or cancelled: another user of the pool may have it.
    pub(crate) fn is_reusable(&self) -> bool {
        self.state == State::Idle && !self.canceller.was_asked()
    }

    pub(crate) fn copy_encoding(&self) -> Option<&str> {
        self.copy_encoding.as_deref()
    }

    /// Sends a query; its answer must be read up to `ReadyForQuery`.
    pub(crate) async fn send_query(&mut self, sql: &str) -> Result<(), Failure> {
        if !matches!(self.state, State::Idle | State::InTransaction) {
            let message = format!("{}: the connection was given up in the middle of", self.server);
            return Err(Failure::transient(format!("{message} an earlier query")));
        }
        self.state = State::Busy;
        frontend::query(sql, &mut self.output).map_err(|_| {
            Failure::permanent(format!("{}: a statement holds a NUL byte", self.server))
        })?;
        self.flush().await
    }

    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
        let result = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        let result = result.await;
        self.output.clear();
        result.map_err(|error| self.lost(&error))
    }

    /// The next message that is an answer. Notices and changed settings are not. `failed` is what
    /// the server said before, and what to report if it hangs up now.
    pub(crate) async fn next_message(
        &mut self,
        failed: Option<&Report>,
    ) -> Result<Message, Failure> {
        let result = std::future::poll_fn(|cx| self.poll_message(cx)).await;
        result.map_err(|failure| match failed {
            Some(report) => self.failure(report.clone(), ""),
            None => failure,
        })
    }

    pub(crate) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Failure>> {
        loop {
            match Message::parse(&mut self.input) {
                Ok(Some(message)) if self.is_aside(&message) => {}
                Ok(Some(message)) => return Poll::Ready(Ok(message)),
                Ok(None) => match ready!(self.poll_fill(cx)) {
                    Ok(()) => {}
                    Err(failure) => return Poll::Ready(Err(failure)),
                },
                Err(error) => return Poll::Ready(Err(self.broken(&error.to_string()))),
            }
        }
    }

    /// Whether a message may come at any time and answers nothing. Logs notices.
    pub(crate) fn is_aside(&self, message: &Message) -> bool {
        if let Message::NoticeResponse(body) = message {
            let notice = Report::of_fields(body.fields());
            tracing::warn!(server = %self.server, sqlstate = notice.sqlstate, "{}", notice.message);
            return true;
        }
        matches!(message, Message::ParameterStatus(_) | Message::NotificationResponse(_))
    }

    /// Reads what there is, at least a byte.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        // Nearly always the rest of a message's header at most: what is moved is little.
        let (filled, spare) = (self.input.len(), self.input.capacity() - self.input.len());
        if filled < READ / 4 {
            self.input.reserve(READ - filled);
        } else if spare < READ / 4 {
            self.input.reserve(READ);
        }
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx));
        Poll::Ready(match read {
            Ok(0) => Err(self.lost(&io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(self.lost(&error)),
        })
    }

    /// Writes and flushes some of `bytes`; returns how many.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(written.map_err(|error| self.lost(&error)))
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(flushed.map_err(|error| self.lost(&error)))
    }

    /// Takes the transaction's state from `ReadyForQuery`.
    pub(crate) fn ready(&mut self, status: u8) {
        self.state = if status == b'I' { State::Idle } else { State::InTransaction };
    }

    /// A failure that the server reported.
    pub(crate) fn failure(&self, report: Report, doing: &str) -> Failure {
        self.canceller.classed(report.failure(self.server, doing))
    }

    /// The protocol was violated: the connection is of no use any more.
    pub(crate) fn broken(&mut self, fact: &str) -> Failure {
        self.state = State::Broken;
        protocol_failure(self.server, fact)
    }

    /// Nobody knows what this connection will say next: it is not used again.
    pub(crate) fn give_up(&mut self) -> Failure {
        self.state = State::Broken;
        Failure::transient(format!("{}: no answer after a failed COPY", self.server))
    }

    pub(crate) fn lost(&mut self, error: &io::Error) -> Failure {
        self.state = State::Broken;
        let mut failure = io_failure(self.server, error, "");
        if self.canceller.was_asked() {
            failure.class = FailureClass::Cancelled;
        }
        failure
    }

    fn columns(&mut self, body: &RowDescriptionBody) -> Result<Arc<[String]>, Failure> {
        let names: io::Result<Vec<String>> =
            body.fields().map(|field| Ok(field.name().to_owned())).collect();
        names.map(Into::into).map_err(|error| self.broken(&error.to_string()))
    }

    fn row(&mut self, columns: &Arc<[String]>, body: &DataRowBody) -> Result<Row, Failure> {
        let buffer = body.buffer();
        let values: io::Result<Vec<Option<String>>> = body
            .ranges()
            .map(
                |range| Ok(range.map(|range| String::from_utf8_lossy(&buffer[range]).into_owned())),
            )
            .collect();
        match values {
            Ok(values) => Ok(Row::new(Arc::clone(columns), values)),
            Err(error) => Err(self.broken(&error.to_string())),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if matches!(self.state, State::Idle | State::InTransaction) {
            self.stream.terminate();
        }
    }
}
