//! What follows from something that happened to one node.

use super::node::{Place, Rank};
use super::{Action, Scheduler};

impl Scheduler {
    pub(super) fn succeeded(&mut self, at: usize) {
        if self.nodes[at].place == Place::Running {
            self.give_back(at);
            self.hold(at, Place::Done);
        }
    }

    pub(super) fn service_ready(&mut self, at: usize, attempt: u32) {
        let node = &self.nodes[at];
        let current = node.task.as_ref().is_some_and(|task| task.next_attempt == attempt + 1);
        if node.place == Place::Running && current {
            self.hold(at, Place::Holding);
        }
    }

    /// Its stoppers go on, and its other followers keep what they had.
    pub(super) fn service_stopped(&mut self, at: usize) {
        if !self.nodes[at].is_active() {
            return;
        }
        self.give_back(at);
        let held = self.nodes[at].holds();
        self.nodes[at].place = Place::Done;
        if !held {
            self.open_followers(at);
        }
        for follower in self.nodes[at].followers.clone() {
            if self.nodes[follower].place == Place::AwaitingStop {
                self.enqueue(follower);
            }
        }
    }

    pub(super) fn service_released(&mut self, at: usize) {
        if self.nodes[at].is_active() {
            self.give_back(at);
            self.lose(at, Place::Waiting);
        }
    }

    pub(super) fn attempt_failed(&mut self, at: usize, retry: bool) {
        if !self.nodes[at].is_active() {
            return;
        }
        self.give_back(at);
        if retry {
            self.lose(at, Place::BackingOff);
        } else {
            self.failed = true;
            self.lose(at, Place::Failed);
            self.abandon_followers(at);
        }
    }

    pub(super) fn retry_due(&mut self, at: usize) {
        if self.nodes[at].place == Place::BackingOff {
            self.nodes[at].place = Place::Waiting;
            self.settle(at);
        }
    }

    pub(super) fn has_dead_need(&self, at: usize) -> bool {
        self.nodes[at].needs.iter().any(|&need| self.nodes[need].is_dead())
    }

    /// The node holds from now on.
    fn hold(&mut self, at: usize, place: Place) {
        let held = self.nodes[at].holds();
        self.nodes[at].place = place;
        if !held {
            self.open_followers(at);
        }
    }

    /// The node does not hold any more, if it ever did.
    pub(super) fn lose(&mut self, at: usize, place: Place) {
        let held = self.nodes[at].holds();
        self.nodes[at].place = place;
        if !held {
            return;
        }
        for follower in self.nodes[at].followers.clone() {
            self.nodes[follower].open += 1;
            if matches!(self.nodes[follower].place, Place::Ready | Place::AwaitingStop) {
                self.unqueue(follower);
                self.nodes[follower].place = Place::Waiting;
            }
        }
    }

    /// Takes one open need from every follower. Barriers are passed at once, without recursion:
    /// a plan may have many phases.
    fn open_followers(&mut self, at: usize) {
        let mut passed = vec![at];
        while let Some(at) = passed.pop() {
            for follower in self.nodes[at].followers.clone() {
                self.nodes[follower].open = self.nodes[follower].open.saturating_sub(1);
                if self.settle(follower) {
                    passed.push(follower);
                }
            }
        }
    }

    /// Moves a waiting node on if nothing is open. Returns whether it was a barrier that is passed.
    fn settle(&mut self, at: usize) -> bool {
        let node = &self.nodes[at];
        if node.place != Place::Waiting || node.open > 0 {
            return false;
        }
        if node.task.is_some() {
            self.enqueue(at);
            return false;
        }
        self.nodes[at].place = Place::Done;
        true
    }

    pub(super) fn enqueue(&mut self, at: usize) {
        self.nodes[at].place = Place::Ready;
        if let Some(task) = &self.nodes[at].task {
            self.ready.entry(task.demand).or_default().insert(Rank::new(at, task));
        }
    }

    pub(super) fn unqueue(&mut self, at: usize) {
        if let Some(task) = &self.nodes[at].task {
            let rank = Rank::new(at, task);
            if let Some(alike) = self.ready.get_mut(&task.demand) {
                alike.remove(&rank);
            }
        }
    }

    /// Everything behind a failed node that did not start is abandoned because of it.
    fn abandon_followers(&mut self, failed: usize) {
        let mut behind = self.nodes[failed].followers.clone();
        while let Some(at) = behind.pop() {
            match self.nodes[at].place {
                Place::Waiting | Place::AwaitingStop | Place::BackingOff => {}
                Place::Ready => self.unqueue(at),
                Place::Running
                | Place::Holding
                | Place::Stopping
                | Place::Releasing
                | Place::Done
                | Place::Failed
                | Place::Abandoned { .. }
                | Place::OutOfReach => continue,
            }
            self.nodes[at].place = Place::Abandoned { because: failed };
            behind.extend(&self.nodes[at].followers);
        }
    }

    fn give_back(&mut self, at: usize) {
        if let Some(task) = &self.nodes[at].task {
            self.pools.give_back(&task.demand, task.service);
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }
}
