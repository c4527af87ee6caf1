//! Streams of changes between two real servers: where they start, how they fail, how they end.

// The attribute is always true here; clippy looks for it to know that this is no product code.
#[cfg(test)]
mod ending;
#[cfg(test)]
mod live;
#[cfg(test)]
mod starting;
#[cfg(test)]
mod watching;
