//! Introspection of a real server that holds every kind of object.

// The attribute is always true here; clippy looks for it to know that this is no product code.
#[cfg(test)]
mod access;
#[cfg(test)]
mod archive;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod facts;
