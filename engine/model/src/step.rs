//! A step as a node of the graph: data alone, no closure and no connection.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Ident, Leaves, PhaseName, Server, Statement, StepDigest, StepId, Undo};

/// One node: what a step is, what it sends, what it touches and what it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepNode {
    pub id: StepId,
    pub phase: PhaseName,
    /// The declared step that it came from.
    pub step: String,
    pub kind: String,
    /// The declared step's parameters.
    pub params: Value,
    pub before: Vec<Statement>,
    /// At least one. More than one makes it a bundle.
    pub members: Vec<Member>,
    pub after: Vec<Statement>,
    pub touches: Vec<Touch>,
    pub resources: Resources,
    pub leaves: Leaves,
    /// The slot whose load it belongs to: what starts over together when a snapshot is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Ident>,
    /// Becomes ready and goes on until another step stops it.
    pub service: bool,
    /// The service that this step stops.
    pub stops: Option<StepId>,
    pub digest: StepDigest,
}

impl StepNode {
    /// Every statement of the step's effect, in the order in which it is sent.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        let members = self.members.iter().flat_map(|member| &member.run);
        self.before.iter().chain(members).chain(&self.after)
    }

    pub fn is_bundle(&self) -> bool {
        self.members.len() > 1
    }
}

/// One of the things that a step does; a bundle does many of the same kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Names the member within the step, and its ledger row. For example `public.orders`.
    pub key: String,
    /// What the kind needs to know at run time, settled at compile time.
    pub params: Value,
    pub run: Vec<Statement>,
    pub undo: Undo,
    /// Estimated work in bytes: biggest first, and for the time that is left.
    pub cost: u64,
}

/// What a step takes while it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Connections, by server.
    pub connections: Vec<(Server, u16)>,
    /// Whether it counts against `load.workers`; waiting steps and services do not.
    pub worker: bool,
    /// The sum of its members' costs.
    pub cost: u64,
}

/// Names a thing that steps read and write, for example `table:public.orders` or `entry:872`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(pub String);

impl Object {
    /// `kind:name`.
    pub fn new(kind: &str, name: impl fmt::Display) -> Self {
        Self(format!("{kind}:{name}"))
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a step touches an object. Edges come from this alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Touch {
    pub object: Object,
    pub mode: TouchMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TouchMode {
    /// Waits for the writers and adders that were declared before it.
    Read,
    /// Waits for all that touched it before.
    Write,
    /// Adds to it, side by side with other adders: parts of one table. Waits for readers and writers.
    Add,
}

impl Touch {
    pub fn read(object: Object) -> Self {
        Self { object, mode: TouchMode::Read }
    }

    pub fn write(object: Object) -> Self {
        Self { object, mode: TouchMode::Write }
    }

    pub fn add(object: Object) -> Self {
        Self { object, mode: TouchMode::Add }
    }
}
