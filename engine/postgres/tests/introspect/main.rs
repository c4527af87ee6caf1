//! Introspection of a real server that holds every kind of object.

mod archive;
mod cluster;
mod facts;
mod rich;
