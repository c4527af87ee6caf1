//! The words that every other crate shares: names, steps, graphs, records, catalogs, findings.
//!
//! Plain data and total functions. Nothing here does I/O, reads a clock or knows a server.

mod capture;
mod catalog;
mod clock;
mod event;
mod facts;
mod failure;
mod finding;
mod graph;
mod keywords;
mod kind;
mod live_settings;
mod name;
mod perform;
mod record;
mod run;
mod script;
mod secret;
mod server;
mod settings;
mod state;
mod step;

pub use capture::{Capture, Operation, ReplicationSet, Slot};
pub use catalog::{
    Catalog, Column, Constraint, ConstraintKind, DatabaseFacts, DatabaseSetting, Entry, Extension,
    Grant, IdentityKind, Index, LargeObjectFacts, Membership, PartitionFacts, ReplicaIdentity,
    Role, Section, Sequence, ServerFacts, SessionRole, Table, TableKind, TypeFacts, TypeKind,
};
pub use clock::{Clock, Timestamp};
pub use event::{Event, EventSink, Progress};
pub use facts::{Facts, Part, PartRange, Selection, TableGroup};
pub use failure::{Failure, FailureClass};
pub use finding::{Finding, Place, PlanPlace, Severity};
pub use graph::{Barrier, GraphError, GraphNode, OnFailure, PhaseEdge, PhaseRule, StepGraph};
pub use kind::{CatalogIndex, DeclaredStep, Draft, Each, Expansion, Fold, Item, KindSpec, Leaves};
pub use live_settings::{
    CaptureFrom, ChangeCapture, CutoverSettings, CutoverVerify, LargeObjectPolicy,
    PreparedTransactions, PublishedPartitions, SequenceSettings, UnloggedPolicy, WithoutIdentity,
};
pub use name::{Ident, InvalidIdent, QualifiedName, quote_literal};
pub use perform::{BoxFuture, Call, Fence, FenceError, FenceGuard, Performer, Probe, Reporter};
pub use record::{CloseStatus, FailureFact, LimitChange, Record, StampedRecord, StepDigest};
pub use run::{Epoch, PhaseName, RunHeader, RunId, RunTag, StepId};
pub use script::{
    OutputOf, Piece, QuotedAs, Script, Session, Statement, Transaction, Undo, UnfitValue,
};
pub use secret::{SecretError, SecretRef, SecretString, Secrets};
pub use server::{InvalidLsn, Lsn, Server, ServerVersion};
pub use settings::{
    ByteSize, CopyFormat, DatabaseRef, FromTarget, LimitSettings, LoadSettings, OnBreach,
    RetainedWal, Settings, TimeSpan, TlsMode, TlsSettings, VerifyMethod, VerifySettings,
};
pub use state::{Checkpoint, IllegalRecord, StepState};
pub use step::{Member, Object, Resources, StepNode, Touch, TouchMode};
