//! What a running step may use: connections, the ledger, the run's facts and settings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use pgkedge_model::{
    Epoch, Facts, Failure, FailureClass, Member, RunHeader, RunId, RunTag, Server, Settings,
    StepNode,
};
use pgkedge_postgres::{Endpoint, Ledger, Pool, Pooled, Sql, Wire};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

/// The scheduler admits steps by the plan's limits, which change while a run goes on: this many
/// sessions of a sort is the most that a plan can ask for. Steps that compare read for hours.
const SESSIONS: usize = 1_000;

/// The epoch of this runner, told by the fence to the performer.
#[derive(Debug, Clone, Default)]
pub struct SharedEpoch(Arc<Mutex<Option<Epoch>>>);

impl SharedEpoch {
    pub fn set(&self, epoch: Epoch) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(epoch);
    }

    /// None until the run was taken.
    pub fn get(&self) -> Option<Epoch> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells what runs to end. Replaced at each cancel, so that what starts afterwards (undo, cleanup)
/// is not cancelled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(Arc<Mutex<CancellationToken>>);

impl Cancel {
    /// Cancelled when everything that runs now is.
    pub(crate) fn token(&self) -> CancellationToken {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn cancel(&self) {
        let mut token = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *token).cancel();
    }
}

/// The application name of a run's sessions. Effects end `:do`, reads `:read`, locks `:lock`.
pub(crate) fn application(run: &RunId, epoch: Epoch, job: &str) -> String {
    format!("pgkedge:{}:{epoch}:{job}", run.tag())
}

/// The ledger of a run, as one of its runners writes it.
pub(crate) fn ledger(run: &RunId, epoch: Epoch) -> Ledger {
    Ledger::new(run, epoch)
}

/// One runner's view of its run.
pub(crate) struct StepContext {
    header: Arc<RunHeader>,
    epoch: Epoch,
    tag: RunTag,
    ledger: Ledger,
    servers: BTreeMap<Server, ServerPools>,
    cancel: Cancel,
}

struct ServerPools {
    endpoint: Endpoint,
    effects: Pool,
    reads: Pool,
}

impl StepContext {
    pub(crate) fn new(
        endpoints: &BTreeMap<Server, Endpoint>,
        header: Arc<RunHeader>,
        epoch: Epoch,
        cancel: Cancel,
    ) -> Self {
        let pools = |(server, endpoint): (&Server, &Endpoint)| {
            let pool = |job| {
                Pool::new(endpoint.clone(), application(&header.run_id, epoch, job), SESSIONS)
            };
            let (effects, reads) = (pool("do"), pool("read"));
            (*server, ServerPools { endpoint: endpoint.clone(), effects, reads })
        };
        Self {
            tag: header.run_id.tag(),
            ledger: ledger(&header.run_id, epoch),
            servers: endpoints.iter().map(pools).collect(),
            epoch,
            header,
            cancel,
        }
    }

    pub(crate) fn header(&self) -> &RunHeader {
        &self.header
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.header.facts
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.header.settings
    }

    pub(crate) fn tag(&self) -> &RunTag {
        &self.tag
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn endpoint(&self, server: Server) -> Result<&Endpoint, Failure> {
        Ok(&self.pools(server)?.endpoint)
    }

    /// A session for effects.
    pub(crate) async fn sql(&self, server: Server) -> Result<Pooled<Sql>, Failure> {
        self.pools(server)?.effects.sql().await
    }

    /// A session that only reads.
    pub(crate) async fn read(&self, server: Server) -> Result<Pooled<Sql>, Failure> {
        self.pools(server)?.reads.sql().await
    }

    /// A session for effects that relays COPY.
    pub(crate) async fn wire(
        &self,
        server: Server,
        client_encoding: Option<&str>,
    ) -> Result<Pooled<Wire>, Failure> {
        self.pools(server)?.effects.wire(client_encoding).await
    }

    /// The parameters that the kind's `expand` gave to a member.
    #[expect(clippy::unused_self, reason = "steps ask their context for everything")]
    pub(crate) fn member<T: DeserializeOwned>(
        &self,
        node: &StepNode,
        member: &Member,
    ) -> Result<T, Failure> {
        serde_json::from_value(member.params.clone()).map_err(|error| {
            let step = &node.id;
            Failure::permanent(format!("{step}: parameters of `{}`: {error}", member.key))
                .help("the journal was written by another version of pgkedge; start a new run")
        })
    }

    /// The parameters of the declared step.
    #[expect(clippy::unused_self, reason = "steps ask their context for everything")]
    pub(crate) fn params<T: DeserializeOwned>(&self, node: &StepNode) -> Result<T, Failure> {
        serde_json::from_value(node.params.clone()).map_err(|error| {
            Failure::permanent(format!("{}: parameters: {error}", node.id))
                .help("the journal was written by another version of pgkedge; start a new run")
        })
    }

    /// Returns when the user cancels: for steps that wait for something else than a query.
    pub(crate) async fn cancelled(&self) -> Failure {
        self.cancel.token().cancelled_owned().await;
        Failure::new(FailureClass::Cancelled, "the step was cancelled")
    }

    /// Cancels every query in flight.
    pub(crate) async fn cancel_all(&self) {
        for pools in self.servers.values() {
            pools.effects.cancel_all().await;
            pools.reads.cancel_all().await;
        }
    }

    fn pools(&self, server: Server) -> Result<&ServerPools, Failure> {
        self.servers.get(&server).ok_or_else(|| {
            Failure::permanent(format!("the plan names no {server}"))
                .help(format!("add `{server}` under `databases` in {}", self.header.plan_path))
        })
    }
}
