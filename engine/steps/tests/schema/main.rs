//! A database of every kind of object moves to a real server, and is taken back from it.

// The attribute is always true here; clippy looks for it to know that this is no product code.
#[cfg(test)]
#[path = "../../../postgres/tests/introspect/cluster.rs"]
mod cluster;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod schema;
