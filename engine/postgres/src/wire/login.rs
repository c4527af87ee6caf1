//! From an open socket to the first `ReadyForQuery`: startup packet, password, SCRAM, settings.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use pgkedge_model::{Failure, ServerVersion};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding as Binding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use super::{READ, State, Wire};
use crate::cancel::Canceller;
use crate::endpoint::Login;
use crate::libpq::ChannelBinding;
use crate::pins;
use crate::session::{explained, opened};
use crate::sqlstate::Report;

/// What a connection is for, as the startup packet says it.
pub(super) enum Purpose {
    /// SQL, and COPY in that encoding; none is the session's own.
    Relay(Option<String>),
    /// SQL, and the commands of the replication protocol.
    Replication,
}

pub(super) async fn open(login: &Login<'_>, purpose: Purpose) -> Result<Wire, Failure> {
    let limit = login.route.connect_timeout;
    match timeout(limit, open_unhurried(login, purpose)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::transient(format!(
            "{}: cannot {}: no answer within {} s",
            login.server(),
            login.doing(),
            limit.as_secs()
        ))),
    }
}

async fn open_unhurried(login: &Login<'_>, purpose: Purpose) -> Result<Wire, Failure> {
    let stream = login.way.open().await?;
    let (copy_encoding, replicates) = match purpose {
        Purpose::Relay(encoding) => (encoding, None),
        Purpose::Replication => (None, Some(("replication", "database"))),
    };
    let mut wire = Wire {
        server: login.server(),
        version: ServerVersion(0),
        stream,
        input: BytesMut::with_capacity(READ),
        output: BytesMut::new(),
        state: State::Busy,
        canceller: Canceller::of_wire(login.way.clone(), 0, 0),
        copy_encoding,
        process_id: 0,
    };
    start(&mut wire, login, replicates).await?;
    authenticate(&mut wire, login).await?;
    settle(&mut wire, login).await?;
    let rows = wire.rows(&pins::opening_statement(login.application)).await?;
    wire.version = opened(login, rows.first())?;
    Ok(wire)
}

/// Sends the startup packet. A replication connection differs in one more parameter here.
async fn start(
    wire: &mut Wire,
    login: &Login<'_>,
    replicates: Option<(&str, &str)>,
) -> Result<(), Failure> {
    let name = pins::opening_name(login.application);
    let parameters = [
        ("user", login.route.user.as_str()),
        ("database", login.route.database.as_str()),
        ("client_encoding", "UTF8"),
        ("application_name", &name),
        ("options", &login.options),
    ];
    let parameters = parameters.into_iter().chain(replicates);
    frontend::startup_message(parameters, &mut wire.output)
        .map_err(|_| login.refused("a connection parameter holds a NUL byte"))?;
    wire.flush().await
}

async fn authenticate(wire: &mut Wire, login: &Login<'_>) -> Result<(), Failure> {
    let must_bind = login.route.channel_binding == ChannelBinding::Require;
    let unbound =
        || login.refused("the url asks for channel binding, which needs TLS and a SCRAM password");
    match answer(wire, login).await? {
        Message::AuthenticationOk if must_bind => return Err(unbound()),
        Message::AuthenticationOk => return Ok(()),
        Message::AuthenticationSasl(body) => return scram(wire, login, &body).await,
        Message::AuthenticationCleartextPassword | Message::AuthenticationMd5Password(_)
            if must_bind =>
        {
            return Err(unbound());
        }
        Message::AuthenticationCleartextPassword => {
            let password = password(login)?.to_owned();
            wire.put_password(login, &password)?;
        }
        Message::AuthenticationMd5Password(body) => {
            let user = login.route.user.as_bytes();
            let hash = md5_hash(user, password(login)?, body.salt());
            wire.put_password(login, hash.as_bytes())?;
        }
        _ => {
            let fact = "the server asks for a login other than password, md5 and scram-sha-256";
            return Err(login.refused(fact).help("add a line for this user to pg_hba.conf"));
        }
    }
    wire.flush().await?;
    match answer(wire, login).await? {
        Message::AuthenticationOk => Ok(()),
        _ => Err(wire.broken("unexpected message during the login")),
    }
}

async fn scram(
    wire: &mut Wire,
    login: &Login<'_>,
    body: &AuthenticationSaslBody,
) -> Result<(), Failure> {
    let offered: Vec<&str> = body
        .mechanisms()
        .collect()
        .map_err(|error: std::io::Error| wire.broken(&error.to_string()))?;
    let binding = match login.route.channel_binding {
        ChannelBinding::Disable => None,
        ChannelBinding::Prefer | ChannelBinding::Require => wire.stream.channel_binding(),
    };
    let (mechanism, binding) = match binding {
        Some(value) if offered.contains(&SCRAM_SHA_256_PLUS) => {
            (SCRAM_SHA_256_PLUS, Binding::tls_server_end_point(value))
        }
        _ if login.route.channel_binding == ChannelBinding::Require => {
            return Err(login.refused("the server cannot bind the login to the TLS channel"));
        }
        // "I could have bound": the server then notices that someone hid its offer.
        Some(_) => (SCRAM_SHA_256, Binding::unrequested()),
        None => (SCRAM_SHA_256, Binding::unsupported()),
    };
    if !offered.contains(&mechanism) {
        return Err(login.refused("the server offers no SCRAM-SHA-256"));
    }
    let mut scram = ScramSha256::new(password(login)?, binding);
    let invalid = |error: std::io::Error| login.refused(error);
    frontend::sasl_initial_response(mechanism, scram.message(), &mut wire.output)
        .map_err(invalid)?;
    wire.flush().await?;
    let Message::AuthenticationSaslContinue(body) = answer(wire, login).await? else {
        return Err(wire.broken("unexpected message during the login"));
    };
    scram.update(body.data()).map_err(invalid)?;
    frontend::sasl_response(scram.message(), &mut wire.output).map_err(invalid)?;
    wire.flush().await?;
    let Message::AuthenticationSaslFinal(body) = answer(wire, login).await? else {
        return Err(wire.broken("unexpected message during the login"));
    };
    // Proves that the server knows the password too.
    scram.finish(body.data()).map_err(invalid)?;
    match answer(wire, login).await? {
        Message::AuthenticationOk => Ok(()),
        _ => Err(wire.broken("unexpected message during the login")),
    }
}

/// Reads the key for cancel requests, up to `ReadyForQuery`.
async fn settle(wire: &mut Wire, login: &Login<'_>) -> Result<(), Failure> {
    loop {
        match answer(wire, login).await? {
            Message::BackendKeyData(body) => {
                wire.process_id = body.process_id();
                let way = login.way.clone();
                wire.canceller = Canceller::of_wire(way, body.process_id(), body.secret_key());
            }
            Message::ReadyForQuery(body) => {
                wire.ready(body.status());
                return Ok(());
            }
            _ => return Err(wire.broken("unexpected message after the login")),
        }
    }
}

async fn answer(wire: &mut Wire, login: &Login<'_>) -> Result<Message, Failure> {
    match wire.next_message(None).await? {
        Message::ErrorResponse(body) => {
            wire.state = State::Broken;
            let report = Report::of_fields(body.fields());
            Err(explained(report.failure(login.server(), &login.doing())))
        }
        message => Ok(message),
    }
}

fn password<'a>(login: &'a Login<'_>) -> Result<&'a [u8], Failure> {
    match &login.host.password {
        Some(password) => Ok(password.expose_secret().as_bytes()),
        None => Err(login.no_password()),
    }
}

impl Wire {
    fn put_password(&mut self, login: &Login<'_>, password: &[u8]) -> Result<(), Failure> {
        frontend::password_message(password, &mut self.output)
            .map_err(|_| login.refused("the password holds a NUL byte"))
    }
}
