//! Cancel requests: a second connection that says which query to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use pgkedge_model::Failure;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_postgres::CancelToken;

use crate::sqlstate::{self, io_failure};
use crate::transport::{AlreadyOpen, Stream, Way};

/// How long the server may take to deal with a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Cancels what one session does. May be used from anywhere while the session works.
#[derive(Clone)]
pub struct Canceller {
    way: Way,
    key: Key,
    asked: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Key {
    Library(CancelToken),
    Wire { process_id: i32, secret_key: i32 },
}

impl Canceller {
    pub(crate) fn of_library(way: Way, token: CancelToken) -> Self {
        Self { way, key: Key::Library(token), asked: Arc::default() }
    }

    pub(crate) fn of_wire(way: Way, process_id: i32, secret_key: i32) -> Self {
        Self { way, key: Key::Wire { process_id, secret_key }, asked: Arc::default() }
    }

    /// Ends the session's query, which then fails as cancelled. The session is not used again by a
    /// pool: a request that came late could hit its next query.
    pub async fn cancel(&self) -> Result<(), Failure> {
        self.asked.store(true, Ordering::Release);
        self.request().await
    }

    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Sends the request and returns once the server has dealt with it.
    pub(crate) async fn request(&self) -> Result<(), Failure> {
        let mut stream = self.way.open().await?;
        self.send(&mut stream).await?;
        // The server answers by closing; a request that was not dealt with could still hit.
        let answer = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        if answer.is_err() {
            return Err(Failure::transient(format!(
                "{}: no answer to a cancel request within {} s",
                self.way.server,
                PATIENCE.as_secs()
            )));
        }
        Ok(())
    }

    async fn send(&self, stream: &mut Stream) -> Result<(), Failure> {
        let server = self.way.server;
        match &self.key {
            Key::Library(token) => token
                .cancel_query_raw(stream, AlreadyOpen)
                .await
                .map_err(|error| sqlstate::failure(server, error, "cancel a query")),
            Key::Wire { process_id, secret_key } => {
                let mut request = BytesMut::new();
                frontend::cancel_request(*process_id, *secret_key, &mut request);
                let sent = async {
                    stream.write_all(&request).await?;
                    stream.flush().await
                };
                sent.await.map_err(|error| io_failure(server, &error, "cancel a query"))
            }
        }
    }
}
