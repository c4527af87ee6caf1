//! Starts what may start, lets services go when nothing is left for them, and closes the run.

use pgkedge_model::CloseStatus;

use super::node::{Place, Rank};
use super::pools::Queued;
use super::{Action, Scheduler};

impl Scheduler {
    pub(super) fn dispatch(&mut self) {
        if self.closed {
            return;
        }
        if !self.finishing {
            self.start_ready();
        }
        if self.has_work() {
            return;
        }
        let complete = self.is_complete();
        if self.end_services(complete) {
            return;
        }
        self.closed = true;
        let status = if complete {
            CloseStatus::Succeeded
        } else if self.failed && !self.finishing {
            CloseStatus::Failed
        } else {
            CloseStatus::Interrupted
        };
        self.act(Action::Close(status));
    }

    fn start_ready(&mut self) {
        let mut queued = Queued::default();
        while let Some(rank) = self.first_ready(&queued) {
            self.start(rank, &mut queued);
        }
    }

    /// The first among the ready steps that are not queued for something.
    fn first_ready(&self, queued: &Queued) -> Option<Rank> {
        let free = self.ready.iter().filter(|(demand, _)| !queued.blocks(demand));
        free.filter_map(|(_, alike)| alike.first()).min().copied()
    }

    fn start(&mut self, rank: Rank, queued: &mut Queued) {
        let Some(task) = &self.nodes[rank.at].task else { return };
        if let Some(service) = task.stops.filter(|&service| self.nodes[service].is_active()) {
            self.unqueue(rank.at);
            self.nodes[rank.at].place = Place::AwaitingStop;
            self.stop_service(service);
            return;
        }
        if !self.pools.take(&task.demand, task.service, queued) {
            return;
        }
        self.unqueue(rank.at);
        let node = &mut self.nodes[rank.at];
        node.place = Place::Running;
        let Some(task) = &mut node.task else { return };
        let attempt = task.next_attempt;
        task.next_attempt += 1;
        // What a service held is gone with its session: there is nothing to ask for.
        let probe = attempt > 1 && !task.service;
        let step = node.id.clone();
        self.act(Action::Start { step, attempt, probe });
    }

    fn stop_service(&mut self, at: usize) {
        if self.nodes[at].place == Place::Holding {
            self.nodes[at].place = Place::Stopping;
            let step = self.nodes[at].id.clone();
            self.act(Action::StopService(step));
        }
    }

    /// Whether something runs, or can still start, that the services are there for.
    fn has_work(&self) -> bool {
        let works = |place: &Place| match place {
            Place::Running => true,
            Place::Ready | Place::BackingOff | Place::AwaitingStop => !self.finishing,
            Place::Waiting
            | Place::Holding
            | Place::Stopping
            | Place::Releasing
            | Place::Done
            | Place::Failed
            | Place::Abandoned { .. }
            | Place::OutOfReach => false,
        };
        // The usual case, without looking at every node.
        if !self.finishing && self.ready.values().any(|alike| !alike.is_empty()) {
            return true;
        }
        // Who stops may wait no longer for services that have not become ready.
        let counts = |service: bool| !(service && self.finishing);
        self.nodes.iter().any(|node| counts(node.is_service()) && works(&node.place))
    }

    fn is_complete(&self) -> bool {
        self.nodes.iter().all(|node| node.place == Place::Done || node.is_service() && node.holds())
    }

    /// Ends every service; returns whether one is still there.
    fn end_services(&mut self, for_good: bool) -> bool {
        let mut any = false;
        for at in 0..self.nodes.len() {
            if !(self.nodes[at].is_service() && self.nodes[at].is_active()) {
                continue;
            }
            any = true;
            let place = self.nodes[at].place;
            if place == Place::Holding && for_good {
                self.stop_service(at);
            } else if matches!(place, Place::Holding | Place::Running) {
                self.lose(at, Place::Releasing);
                self.act(Action::ReleaseService(self.nodes[at].id.clone()));
            }
        }
        any
    }
}
