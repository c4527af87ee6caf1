//! Time as a thing that is handed in, so that tests control it.

/// A moment in UTC.
pub type Timestamp = jiff::Timestamp;

/// Tells the time. Only `cli` has one that reads the machine's clock; nothing decides liveness by it.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}
