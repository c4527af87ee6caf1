//! What libpq does before it opens a socket: connection strings, service file, password file,
//! variables and defaults. Owns the meaning of connection parameters; opens no socket.

mod error;
mod parameters;
mod passfile;
mod route;
mod service;
mod string;

pub(crate) use error::LibpqError;
pub(crate) use parameters::Parameters;
pub(crate) use passfile::line_for_any_server;
pub(crate) use route::{Address, ChannelBinding, Host, Route, SessionKind, TlsWish, WishedMode};

use pgkedge_model::{DatabaseRef, SecretRef, Secrets};
use secrecy::ExposeSecret as _;

/// Finds out where a database is and how to get in. Looks every secret up anew.
pub(crate) fn route(database: &DatabaseRef, secrets: &dyn Secrets) -> Result<Route, LibpqError> {
    let mut parameters = match &database.url {
        SecretRef::Service(name) => Parameters::of_service(name),
        reference @ (SecretRef::Env(_) | SecretRef::File(_) | SecretRef::Command(_)) => {
            string::parse(secrets.resolve(reference)?.expose_secret())?
        }
    };
    parameters.complete(secrets)?;
    Route::new(&parameters, database.tls.as_ref(), secrets)
}
