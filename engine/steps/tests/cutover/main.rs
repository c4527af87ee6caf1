//! The steps that change the writers over, on real servers: the source is fenced and let go again, the
//! target closed and opened, sequences skip values, and at no time can anybody write to both sides.

// The attribute is always true here; clippy looks for it to know that this is no product code.
#[cfg(test)]
mod fence;
#[cfg(test)]
mod sequences;
#[cfg(test)]
mod target;
#[cfg(test)]
mod world;
#[cfg(test)]
mod writers;
