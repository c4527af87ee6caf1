//! Steps on real servers: a schema of every kind of object moves and is taken back, runs fence one
//! another, and leave nothing behind.

// The attribute is always true here; clippy looks for it to know that this is no product code.
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod fencing;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod schema;
