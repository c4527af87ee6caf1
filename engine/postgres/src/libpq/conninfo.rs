//! A connection string for another server to use: the target's subscriptions reach the source by it.

use pgkedge_model::{DatabaseRef, Secrets};
use secrecy::{ExposeSecret as _, SecretString};

use super::route::{Address, ChannelBinding, Route, SessionKind, WishedMode};
use super::{LibpqError, Parameters, parameters_of};

/// Pairs of libpq, with the password inside where there is one. Has no `Debug`.
pub struct Conninfo {
    pub text: SecretString,
    /// Of the first host that has one: libpq takes a single password.
    pub password: Option<SecretString>,
}

/// How the target server reaches a database: by `from_target` where the plan has it, else by the url.
pub(crate) fn conninfo(
    database: &DatabaseRef,
    secrets: &dyn Secrets,
) -> Result<Conninfo, LibpqError> {
    let own = database.from_target.as_ref().map(|from| &from.url);
    let parameters = parameters_of(own.unwrap_or(&database.url), secrets)?;
    // The plan's protection is meant for its own url; another one may say something else.
    let says_itself = own.is_some() && parameters.get("sslmode").is_some();
    let tls = database.tls.as_ref().filter(|_| !says_itself);
    let route = Route::new(&parameters, tls, secrets)?;
    let root = tls.and_then(|tls| tls.root.as_ref()).map(|root| root.to_string_lossy());
    let root = root.as_deref().or_else(|| parameters.get("sslrootcert"));
    Ok(rendered(&route, &parameters, root))
}

fn rendered(route: &Route, parameters: &Parameters, root: Option<&str>) -> Conninfo {
    let (mut names, mut numbers, mut ports) = (Vec::new(), Vec::new(), Vec::new());
    for host in &route.hosts {
        names.push(host.name.clone());
        numbers.push(match &host.address {
            Address::Tcp { host: number, .. } if *number != host.name => number.clone(),
            Address::Tcp { .. } | Address::Socket { .. } => String::new(),
        });
        ports.push(host.address.port().to_string());
    }
    let mut pairs = vec![("host", names.join(",")), ("port", ports.join(","))];
    if numbers.iter().any(|number| !number.is_empty()) {
        pairs.push(("hostaddr", numbers.join(",")));
    }
    pairs.push(("user", route.user.clone()));
    pairs.push(("dbname", route.database.clone()));
    pairs.extend(protection(route, root));
    // Files are looked up where they are named, on the target server: no default of this machine.
    for name in ["sslcert", "sslkey", "connect_timeout", "options"] {
        pairs.extend(parameters.get(name).map(|value| (name, value.to_owned())));
    }
    if route.session_kind == SessionKind::Primary && route.hosts.len() > 1 {
        pairs.push(("target_session_attrs", "read-write".to_owned()));
    }
    let password = route.hosts.iter().find_map(|host| host.password.clone());
    let secret = password.as_ref().map(|secret| ("password", secret.expose_secret().to_owned()));
    let pair = |(name, value): (&str, String)| format!("{name}={}", quoted(&value));
    let text: Vec<String> = pairs.into_iter().chain(secret).map(pair).collect();
    Conninfo { text: text.join(" ").into(), password }
}

/// One mode holds for all hosts: the strictest that one of them asks for.
fn protection(route: &Route, root: Option<&str>) -> Vec<(&'static str, String)> {
    let modes = route.hosts.iter().map(|host| host.tls.mode);
    let mode = modes.max().unwrap_or(WishedMode::VerifyFull);
    let mut pairs = vec![("sslmode", mode.as_str().to_owned())];
    if mode != WishedMode::Disable {
        pairs.extend(root.map(|root| ("sslrootcert", root.to_owned())));
    }
    if route.channel_binding == ChannelBinding::Require {
        pairs.push(("channel_binding", "require".to_owned()));
    }
    pairs
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pgkedge_model::{FromTarget, SecretError, SecretRef, TlsMode, TlsSettings};

    use super::*;

    /// A reference to a variable is the connection string itself.
    struct Plain(BTreeMap<&'static str, &'static str>);

    impl Secrets for Plain {
        fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
            let SecretRef::Env(url) = reference else { panic!("{reference}") };
            Ok(url.clone().into())
        }

        fn variable(&self, name: &str) -> Option<String> {
            self.0.get(name).map(|value| (*value).to_owned())
        }
    }

    fn shown(url: &str, from_target: Option<&str>, tls: Option<TlsSettings>) -> String {
        let reference = |url: &str| SecretRef::Env(url.to_owned());
        let from_target = from_target.map(|url| FromTarget { url: reference(url) });
        let database = DatabaseRef { url: reference(url), tls, from_target };
        let secrets = Plain([("USER", "joe")].into());
        conninfo(&database, &secrets).ok().unwrap().text.expose_secret().to_owned()
    }

    #[test]
    fn a_url_becomes_pairs_with_its_password_and_its_protection() {
        assert_eq!(
            shown(r"postgresql://eva:it%27s%5C@db.test/shop", None, None),
            r"host='db.test' port='5432' user='eva' dbname='shop' sslmode='verify-full' password='it\'s\\'"
        );
        let tls = TlsSettings { mode: TlsMode::VerifyCa, root: Some("ca.pem".into()) };
        assert_eq!(
            shown("host=a,b hostaddr=10.0.0.1, port=1,2 dbname=d", None, Some(tls)),
            "host='a,b' port='1,2' hostaddr='10.0.0.1,' user='joe' dbname='d' \
             sslmode='verify-ca' sslrootcert='ca.pem'"
        );
    }

    #[test]
    fn a_local_socket_has_no_protection_and_may_have_no_password() {
        assert_eq!(
            shown("host=/run/pg dbname=d user=u", None, None),
            "host='/run/pg' port='5432' user='u' dbname='d' sslmode='disable'"
        );
    }

    #[test]
    fn the_way_from_the_target_replaces_the_url_and_may_say_its_own_protection() {
        let tls = || Some(TlsSettings { mode: TlsMode::Require, root: None });
        let from =
            |rest: &str| shown("host=a dbname=d", Some(&format!("host=b dbname=d{rest}")), tls());
        assert!(from("").ends_with("host='b' port='5432' user='joe' dbname='d' sslmode='require'"));
        assert!(from(" sslmode=verify-ca").ends_with("sslmode='verify-ca'"));
    }

    #[test]
    fn several_hosts_that_must_be_a_primary_say_so() {
        let url = "host=a,b dbname=d target_session_attrs=primary";
        assert!(shown(url, None, None).ends_with("target_session_attrs='read-write'"));
    }
}
