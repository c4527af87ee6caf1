//! A throw-away server, and a database on it that holds every kind of object.

pub(crate) mod cluster;

pub(crate) const ROLES: &str = include_str!("roles.sql");
pub(crate) const OBJECTS: &str = include_str!("objects.sql");
