//! Connections to one endpoint: kept while they are clean, limited in number.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use pgkedge_model::{Failure, FailureClass};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Canceller, Endpoint, Sql, Wire};

/// Connections of one application name to one endpoint. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    application: String,
    size: usize,
    permits: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sql: Vec<Sql>,
    wires: Vec<Wire>,
    /// Of the connections that are in use, by the number of their lease.
    in_use: BTreeMap<u64, Canceller>,
    last_lease: u64,
}

/// A connection on loan. Goes back when dropped, unless something is open or broken: then it is
/// closed.
pub struct Pooled<T: Reusable> {
    connection: Option<T>,
    lease: u64,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// At most `size` connections at a time; who comes later waits.
    pub fn new(endpoint: Endpoint, application: String, size: usize) -> Self {
        let permits = Arc::new(Semaphore::new(size));
        let state = Mutex::default();
        Self { shared: Arc::new(Shared { endpoint, application, size, permits, state }) }
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    pub async fn sql(&self) -> Result<Pooled<Sql>, Failure> {
        let permit = self.permit().await?;
        let kept = self.shared.take(|state| state.sql.pop());
        let sql = match kept {
            Some(sql) => sql,
            None => self.shared.endpoint.sql(&self.shared.application).await?,
        };
        Ok(self.shared.lend(sql, permit))
    }

    /// A connection whose COPY data is in `copy_encoding`, UTF-8 where none is given.
    pub async fn wire(&self, copy_encoding: Option<&str>) -> Result<Pooled<Wire>, Failure> {
        let permit = self.permit().await?;
        let wanted = copy_encoding.filter(|encoding| *encoding != "UTF8");
        let kept = self.shared.take(|state| {
            let at = state.wires.iter().position(|wire| wire.copy_encoding() == wanted)?;
            Some(state.wires.swap_remove(at))
        });
        let wire = match kept {
            Some(wire) => wire,
            None => self.shared.endpoint.wire(&self.shared.application, wanted).await?,
        };
        Ok(self.shared.lend(wire, permit))
    }

    /// Cancels what every connection on loan does. Those that cannot be reached are logged.
    pub async fn cancel_all(&self) {
        let cancellers: Vec<Canceller> = self.shared.state().in_use.values().cloned().collect();
        let answers = join_all(cancellers.iter().map(Canceller::cancel)).await;
        for failure in answers.into_iter().filter_map(Result::err) {
            tracing::warn!(%failure, "a query could not be cancelled");
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let permits = Arc::clone(&self.shared.permits);
        permits.acquire_owned().await.map_err(|_| {
            Failure::new(FailureClass::Cancelled, "the pool of connections was closed")
        })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a kept connection; where there is none, makes room for a new one.
    fn take<T: Reusable>(&self, mut kept: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let mut state = self.state();
        while let Some(connection) = kept(&mut state) {
            if connection.is_reusable() {
                return Some(connection);
            }
        }
        // The permit that the caller holds counts as in use already.
        let in_use = self.size - self.permits.available_permits();
        while state.sql.len() + state.wires.len() + in_use > self.size {
            if state.sql.pop().is_none() && state.wires.pop().is_none() {
                break;
            }
        }
        None
    }

    fn lend<T: Reusable>(
        self: &Arc<Self>,
        connection: T,
        permit: OwnedSemaphorePermit,
    ) -> Pooled<T> {
        let mut state = self.state();
        state.last_lease += 1;
        let lease = state.last_lease;
        state.in_use.insert(lease, connection.canceller());
        drop(state);
        Pooled { connection: Some(connection), lease, shared: Arc::clone(self), _permit: permit }
    }
}

impl<T: Reusable> Deref for Pooled<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.connection.as_ref().expect("a loan holds its connection until it is dropped")
    }
}

impl<T: Reusable> DerefMut for Pooled<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.connection.as_mut().expect("a loan holds its connection until it is dropped")
    }
}

impl<T: Reusable> Drop for Pooled<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.in_use.remove(&self.lease);
        if let Some(connection) = self.connection.take().filter(Reusable::is_reusable) {
            connection.keep(&mut state.kept());
        }
    }
}

/// The kept connections, by kind.
#[expect(unnameable_types, reason = "seals the trait below")]
pub struct Kept<'a> {
    sql: &'a mut Vec<Sql>,
    wires: &'a mut Vec<Wire>,
}

impl State {
    fn kept(&mut self) -> Kept<'_> {
        Kept { sql: &mut self.sql, wires: &mut self.wires }
    }
}

/// A connection that a pool can keep.
pub trait Reusable: Sized {
    fn is_reusable(&self) -> bool;
    fn canceller(&self) -> Canceller;
    fn keep(self, kept: &mut Kept<'_>);
}

impl Reusable for Sql {
    fn is_reusable(&self) -> bool {
        self.is_reusable()
    }

    fn canceller(&self) -> Canceller {
        self.canceller()
    }

    fn keep(self, kept: &mut Kept<'_>) {
        kept.sql.push(self);
    }
}

impl Reusable for Wire {
    fn is_reusable(&self) -> bool {
        self.is_reusable()
    }

    fn canceller(&self) -> Canceller {
        self.canceller()
    }

    fn keep(self, kept: &mut Kept<'_>) {
        kept.wires.push(self);
    }
}
