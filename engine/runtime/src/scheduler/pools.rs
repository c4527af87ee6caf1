//! What a run may take at the same time: workers, and connections of each server.

use pgkedge_model::{LimitChange, Server, Settings, StepNode};

/// How many of each there are: workers, connections to the source, connections to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits([u32; RESOURCES]);

/// How many of each a step takes.
pub(super) type Demand = [u32; RESOURCES];

const RESOURCES: usize = 3;
const WORKERS: usize = 0;
const SOURCE: usize = 1;
const TARGET: usize = 2;

impl Limits {
    pub(crate) fn new(settings: &Settings, change: LimitChange) -> Self {
        let limits = &settings.limits;
        Self([
            change.workers.unwrap_or(settings.load.workers).into(),
            change.source_connections.unwrap_or(limits.source_connections).into(),
            change.target_connections.unwrap_or(limits.target_connections).into(),
        ])
    }
}

pub(super) fn demand(node: &StepNode) -> Demand {
    let mut demand = [0; RESOURCES];
    demand[WORKERS] = u32::from(node.resources.worker);
    for (server, connections) in &node.resources.connections {
        match server {
            Server::Source => demand[SOURCE] += u32::from(*connections),
            Server::Target => demand[TARGET] += u32::from(*connections),
            // A replica that serves the load alone has no limit of its own.
            Server::Replica => {}
        }
    }
    demand
}

/// What is taken now.
pub(super) struct Pools {
    limits: Limits,
    steps: Demand,
    services: Demand,
}

/// Resources that a step of higher rank waits for: smaller ones must not slip past it for ever.
#[derive(Default)]
pub(super) struct Queued([bool; RESOURCES]);

impl Queued {
    /// Whether a step of higher rank waits for something that this one would take.
    pub(super) fn blocks(&self, demand: &Demand) -> bool {
        self.0.iter().zip(demand).any(|(queued, wanted)| *queued && *wanted > 0)
    }
}

impl Pools {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, steps: [0; RESOURCES], services: [0; RESOURCES] }
    }

    pub(super) fn set(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes what a step wants, or queues it for the resources that it wants and did not get.
    ///
    /// A limit gives way to the only step that uses a resource: otherwise a step that is bigger than
    /// the limit, or that waits beside services which take all of it, would never run.
    pub(super) fn take(&mut self, demand: &Demand, service: bool, queued: &mut Queued) -> bool {
        let fits = (0..RESOURCES).all(|at| demand[at] == 0 || self.has(at, demand[at]));
        if !fits {
            for (at, wanted) in demand.iter().enumerate() {
                queued.0[at] |= *wanted > 0;
            }
            return false;
        }
        add(self.side(service), demand);
        true
    }

    pub(super) fn give_back(&mut self, demand: &Demand, service: bool) {
        for (taken, given) in self.side(service).iter_mut().zip(demand) {
            *taken = taken.saturating_sub(*given);
        }
    }

    fn has(&self, at: usize, wanted: u32) -> bool {
        let alone = self.steps[at] == 0;
        alone || self.steps[at] + self.services[at] + wanted <= self.limits.0[at]
    }

    fn side(&mut self, service: bool) -> &mut Demand {
        if service { &mut self.services } else { &mut self.steps }
    }
}

fn add(taken: &mut Demand, demand: &Demand) {
    for (taken, wanted) in taken.iter_mut().zip(demand) {
        *taken += *wanted;
    }
}
