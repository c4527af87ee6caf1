//! A session for SQL, over the client library.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::TryStreamExt as _;
use pgkedge_model::{Failure, FailureClass, Server, ServerVersion};
use secrecy::ExposeSecret as _;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding as LibraryBinding, SslMode, SslNegotiation};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, SimpleQueryMessage};

use crate::cancel::Canceller;
use crate::endpoint::Login;
use crate::libpq::ChannelBinding;
use crate::pins;
use crate::row::Row;
use crate::sqlstate::{self, QUERY_CANCELED};
use crate::transaction::{self, TransactionWatch};
use crate::transport::{AlreadyOpen, Stream};

/// A session for SQL. Statements go out as plain text, exactly as they are given.
pub struct Sql {
    server: Server,
    version: ServerVersion,
    // Before the driver: the driver ends with a goodbye once the client is gone.
    client: Client,
    _driver: Driver,
    canceller: Canceller,
    /// Statements that were sent and not answered; stays up when their future was dropped.
    unanswered: AtomicUsize,
    transaction: TransactionWatch,
    broken: AtomicBool,
}

/// Drives the connection. Left alone when dropped, so that it can say goodbye: it ends by itself,
/// once the client is gone and the last statement is answered.
struct Driver(JoinSet<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.detach_all();
    }
}

impl Sql {
    pub(crate) async fn open(login: Login<'_>) -> Result<Self, Failure> {
        let limit = login.route.connect_timeout;
        match timeout(limit, Self::open_unhurried(&login)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::transient(format!(
                "{}: cannot {}: no answer within {} s",
                login.server(),
                login.doing(),
                limit.as_secs()
            ))),
        }
    }

    async fn open_unhurried(login: &Login<'_>) -> Result<Self, Failure> {
        let server = login.server();
        let stream = login.way.open().await?;
        let (client, connection) = config(login)
            .connect_raw(stream, AlreadyOpen)
            .await
            .map_err(|error| login_failure(login, error))?;
        let canceller = Canceller::of_library(login.way.clone(), client.cancel_token());
        let mut driver = Driver(JoinSet::new());
        driver.0.spawn(drive(server, connection));
        let mut sql = Self {
            server,
            version: ServerVersion(0),
            client,
            _driver: driver,
            canceller,
            unanswered: AtomicUsize::new(0),
            transaction: TransactionWatch::default(),
            broken: AtomicBool::new(false),
        };
        let rows = sql.rows(&pins::opening_statement(login.application)).await?;
        sql.version = opened(login, rows.first())?;
        Ok(sql)
    }

    /// Sends statements and returns the rows of all of them.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Row>, Failure> {
        let messages = self.answered(sql, self.client.simple_query(sql)).await?;
        let mut columns: Arc<[String]> = Arc::default();
        let mut rows = Vec::new();
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(described) => {
                    columns = described.iter().map(|column| column.name().to_owned()).collect();
                }
                SimpleQueryMessage::Row(row) => {
                    let value = |index| row.get(index).map(str::to_owned);
                    let values = (0..row.len()).map(value).collect();
                    rows.push(Row::new(Arc::clone(&columns), values));
                }
                SimpleQueryMessage::CommandComplete(_) | _ => {}
            }
        }
        Ok(rows)
    }

    /// Sends statements. Several in one text are one transaction, unless they say otherwise.
    pub async fn execute(&self, sql: &str) -> Result<(), Failure> {
        self.answered(sql, self.client.batch_execute(sql)).await
    }

    /// Sends statements of an open transaction, each by itself, without waiting for one before the
    /// next: the server skips what follows one that fails. Tells which one that was.
    pub async fn execute_all<'a>(
        &self,
        statements: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Result<(), (usize, Failure)> {
        if statements.clone().into_iter().any(transaction::opens_or_closes) {
            return self.execute_each(statements).await;
        }
        let mut sent = Vec::new();
        for (at, sql) in statements.into_iter().enumerate() {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
            let answer = self.client.simple_query_raw(sql).await;
            sent.push(Box::pin(answer.map_err(|error| (at, self.failed(error)))?));
        }
        let mut result = Ok(());
        for (at, mut answer) in sent.into_iter().enumerate() {
            let answered = loop {
                match answer.as_mut().try_next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break Ok(()),
                    Err(error) => break Err((at, self.failed(error))),
                }
            };
            self.unanswered.fetch_sub(1, Ordering::Relaxed);
            // What comes after the first failure only says that there was one.
            result = result.and(answered);
        }
        result
    }

    async fn execute_each<'a>(
        &self,
        statements: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), (usize, Failure)> {
        for (at, sql) in statements.into_iter().enumerate() {
            self.execute(sql).await.map_err(|failure| (at, failure))?;
        }
        Ok(())
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn server(&self) -> Server {
        self.server
    }

    pub fn server_version(&self) -> ServerVersion {
        self.version
    }

    /// Cancels what this session does, from elsewhere.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Nothing is open, unanswered or cancelled: another user of the pool may have it.
    pub(crate) fn is_reusable(&self) -> bool {
        !self.is_closed()
            && !self.broken.load(Ordering::Relaxed)
            && !self.canceller.was_asked()
            && self.unanswered.load(Ordering::Relaxed) == 0
            && !self.transaction.is_open()
    }

    async fn answered<T>(
        &self,
        sql: &str,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        self.transaction.sent(sql);
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        let result = answer.await;
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
        match result {
            Ok(value) => {
                self.transaction.succeeded(sql);
                Ok(value)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: tokio_postgres::Error) -> Failure {
        if error.as_db_error().is_none() {
            self.broken.store(true, Ordering::Relaxed);
        }
        self.canceller.classed(sqlstate::failure(self.server, error, ""))
    }
}

fn config(login: &Login<'_>) -> Config {
    let mut config = Config::new();
    config
        .user(login.route.user.clone())
        .dbname(login.route.database.clone())
        .application_name(pins::opening_name(login.application))
        .options(login.options.clone())
        // The stream is encrypted where it should be; the library only asks for its binding.
        .ssl_mode(SslMode::Require)
        .ssl_negotiation(SslNegotiation::Direct)
        .channel_binding(match login.route.channel_binding {
            ChannelBinding::Disable => LibraryBinding::Disable,
            ChannelBinding::Prefer => LibraryBinding::Prefer,
            ChannelBinding::Require => LibraryBinding::Require,
        });
    if let Some(password) = &login.host.password {
        config.password(password.expose_secret());
    }
    config
}

/// Errors that neither the server nor the socket reports are about how we log in.
fn login_failure(login: &Login<'_>, error: tokio_postgres::Error) -> Failure {
    // The library has no other way to say so.
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    if cause.as_deref() == Some("password missing") {
        return login.no_password();
    }
    let mut failure = sqlstate::failure(login.server(), error, &login.doing());
    if failure.sqlstate.is_none() && failure.class == FailureClass::Permanent {
        failure.class = FailureClass::Operator;
    }
    explained(failure)
}

/// Adds the help for what poolers refuse.
pub(crate) fn explained(failure: Failure) -> Failure {
    if failure.sqlstate.as_deref() == Some("08P01") && failure.message.contains("options") {
        return failure.help("connect to the server itself: a pooler does not pass settings on");
    }
    failure
}

/// Reads the answer to the opening statement.
pub(crate) fn opened(login: &Login<'_>, row: Option<&Row>) -> Result<ServerVersion, Failure> {
    let version = row.and_then(|row| row.get(0)).and_then(|text| text.parse().ok());
    let Some(version) = version.map(ServerVersion) else {
        let message = format!("{}: the server does not tell its version", login.server());
        return Err(Failure::permanent(message));
    };
    // The server's default is on: a pooler may take settings and leave them out.
    if row.and_then(|row| row.get(2)) != Some("off") {
        return Err(login
            .refused("the session's settings do not get through")
            .help("connect to the server itself: a pooler or proxy is in the way"));
    }
    login.check_kind(row.and_then(|row| row.get(1)) == Some("t"))?;
    Ok(version)
}

async fn drive(server: Server, mut connection: Connection<Stream, Stream>) {
    loop {
        match std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => {
                tracing::warn!(%server, sqlstate = notice.code().code(), "{}", notice.message());
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(%server, %error, "a connection was lost");
                return;
            }
            None => return,
        }
    }
}

impl Canceller {
    /// A query that ended because we asked for it is no error of the server.
    pub(crate) fn classed(&self, mut failure: Failure) -> Failure {
        if self.was_asked() && failure.sqlstate.as_deref() == Some(QUERY_CANCELED) {
            failure.class = FailureClass::Cancelled;
        }
        failure
    }
}
