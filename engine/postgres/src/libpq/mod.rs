//! What libpq does before it opens a socket: connection strings, service file, password file,
//! variables and defaults. Owns the meaning of connection parameters; opens no socket.

mod conninfo;
mod error;
mod parameters;
mod passfile;
mod route;
mod service;
mod string;

pub use conninfo::Conninfo;
pub(crate) use conninfo::conninfo;
pub(crate) use error::LibpqError;
pub(crate) use parameters::Parameters;
pub(crate) use passfile::line;
pub(crate) use route::{
    Address, ChannelBinding, Host, Route, SessionKind, TlsWish, WishedMode, passfile_name,
};

use pgkedge_model::{DatabaseRef, SecretRef, Secrets};
use secrecy::ExposeSecret as _;

/// Finds out where a database is and how to get in. Looks every secret up anew.
pub(crate) fn route(database: &DatabaseRef, secrets: &dyn Secrets) -> Result<Route, LibpqError> {
    let parameters = parameters_of(&database.url, secrets)?;
    Route::new(&parameters, database.tls.as_ref(), secrets)
}

/// What a connection string says, completed as libpq does.
fn parameters_of(url: &SecretRef, secrets: &dyn Secrets) -> Result<Parameters, LibpqError> {
    let mut parameters = match url {
        SecretRef::Service(name) => Parameters::of_service(name),
        reference @ (SecretRef::Env(_) | SecretRef::File(_) | SecretRef::Command(_)) => {
            string::parse(secrets.resolve(reference)?.expose_secret())?
        }
    };
    parameters.complete(secrets)?;
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::time::Duration;

    use pgkedge_model::{SecretError, SecretString, TlsMode, TlsSettings};

    use super::*;

    struct Fixed(&'static str, BTreeMap<&'static str, &'static str>);

    impl Secrets for Fixed {
        fn resolve(&self, _: &SecretRef) -> Result<SecretString, SecretError> {
            Ok(self.0.into())
        }

        fn variable(&self, name: &str) -> Option<String> {
            self.1.get(name).map(|value| (*value).to_owned())
        }
    }

    fn resolved(
        url: &'static str,
        tls: Option<TlsSettings>,
        variables: &[(&'static str, &'static str)],
    ) -> Result<Route, LibpqError> {
        let database = DatabaseRef { tls, ..DatabaseRef::new(SecretRef::Env("URL".into())) };
        let variables = [("USER", "joe")].iter().chain(variables).copied().collect();
        route(&database, &Fixed(url, variables))
    }

    fn modes(url: &'static str, tls: Option<TlsMode>) -> Vec<WishedMode> {
        let tls = tls.map(|mode| TlsSettings { mode, root: None });
        let route = resolved(url, tls, &[]).map_err(|error| error.to_string()).unwrap();
        route.hosts.iter().map(|host| host.tls.mode).collect()
    }

    fn error(url: &'static str) -> String {
        resolved(url, None, &[]).err().expect("must be refused").to_string()
    }

    #[test]
    fn what_is_left_out_gets_libpqs_defaults() {
        let route = resolved("postgresql://", None, &[]).ok().unwrap();
        let places: Vec<String> = route.hosts.iter().map(|h| h.address.to_string()).collect();
        assert_eq!(places, ["/var/run/postgresql:5432", "/tmp:5432"]);
        assert_eq!((route.user.as_str(), route.database.as_str()), ("joe", "joe"));
        assert_eq!(route.connect_timeout, Duration::from_secs(10));
        let variables =
            [("PGUSER", "eva"), ("PGPORT", "1"), ("PGHOST", "a,b"), ("PGDATABASE", "d")];
        let route = resolved("user=x", None, &variables).ok().unwrap();
        let places: Vec<String> = route.hosts.iter().map(|h| h.address.to_string()).collect();
        assert_eq!(places, ["a:1", "b:1"]);
        assert_eq!((route.user.as_str(), route.database.as_str()), ("x", "d"));
    }

    #[test]
    fn addresses_belong_to_names_and_ports_to_both() {
        let url = "host=db.test,db hostaddr=10.0.0.1, port=1,2";
        let route = resolved(url, None, &[]).ok().unwrap();
        let places: Vec<(&str, String)> =
            route.hosts.iter().map(|h| (h.name.as_str(), h.address.to_string())).collect();
        assert_eq!(places, [("db.test", "10.0.0.1:1".into()), ("db", "db:2".into())]);
        assert!(error("host=a,b port=1,2,3").contains("2 hosts, but 3 of `port`"));
        assert!(error("host=a,b hostaddr=::1").contains("1 of `hostaddr`"));
        assert!(error("host=a port=0").contains("`port` must be a number"));
    }

    #[test]
    fn all_but_local_servers_are_verified_in_full() {
        use WishedMode::{Disable, Prefer, Require, VerifyCa, VerifyFull};
        for (url, mode) in [
            ("host=db.test", VerifyFull),
            ("host=10.0.0.1", VerifyFull),
            ("host=db.test hostaddr=127.0.0.1", Disable),
            ("host=127.1.2.3", Disable),
            ("host=::1", Disable),
            ("host=localhost", Disable),
            ("host=/tmp", Disable),
            ("host=db.test sslmode=disable", Disable),
            ("host=db.test sslmode=allow", Prefer),
            ("host=db.test sslmode=prefer", Prefer),
            ("host=db.test sslmode=require", Require),
            ("host=db.test sslmode=require sslrootcert=x", VerifyCa),
            ("host=db.test sslmode=require sslrootcert=system", VerifyFull),
            ("host=localhost sslmode=verify-ca", VerifyCa),
        ] {
            assert_eq!(modes(url, None), [mode], "{url}");
        }
        assert_eq!(modes("host=db.test sslmode=disable", Some(TlsMode::VerifyCa)), [VerifyCa]);
        assert_eq!(modes("host=/tmp,db.test", Some(TlsMode::Require)), [Disable, Require]);
        assert!(error("host=a sslmode=full").contains("`sslmode` must be disable"));
    }

    #[test]
    fn the_plans_root_certificate_wins() {
        let tls = TlsSettings { mode: TlsMode::VerifyFull, root: Some("plan.pem".into()) };
        let url = "host=db.test sslrootcert=url.pem sslcert=c sslkey=k";
        let wish = resolved(url, Some(tls), &[]).ok().unwrap().hosts.remove(0).tls;
        assert_eq!(wish.root, Some(PathBuf::from("plan.pem")));
        assert_eq!((wish.certificate, wish.key), (Some("c".into()), Some("k".into())));
    }

    #[test]
    fn a_missing_user_or_service_is_named() {
        let database = DatabaseRef::new(SecretRef::Service("shop".into()));
        let nobody = Fixed("", BTreeMap::new());
        let missing = route(&database, &nobody).err().unwrap().to_string();
        assert_eq!(missing, "no service file has a section [shop]");
        let database = DatabaseRef::new(SecretRef::Env("URL".into()));
        let anonymous = Fixed("host=a", BTreeMap::new());
        assert!(route(&database, &anonymous).err().unwrap().to_string().contains("PGUSER"));
    }
}
