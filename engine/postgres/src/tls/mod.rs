//! TLS: which certificates are trusted, what is checked, and the value that binds a login to the
//! encrypted channel.

mod verifier;

use std::path::Path;
use std::sync::Arc;

use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::rfc5912;

use crate::libpq::{TlsWish, WishedMode};

/// Why TLS cannot be set up as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot read the certificates of {path}: {reason}")]
    Certificates { path: String, reason: String },
    #[error("cannot read the key of {path}: {reason}")]
    Key { path: String, reason: String },
    #[error("a client certificate needs its key: add sslkey to the connection string")]
    NoKey,
    #[error("this system trusts no certificate authority")]
    NoRoots,
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// The configuration of a handshake, by what was wished for.
pub(crate) fn client_config(wish: &TlsWish) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match wish.mode {
        WishedMode::VerifyFull => builder.with_root_certificates(roots(wish)?),
        WishedMode::VerifyCa => builder
            .dangerous()
            .with_custom_certificate_verifier(verifier::AnyName::new(roots(wish)?, provider)),
        WishedMode::Disable | WishedMode::Prefer | WishedMode::Require => builder
            .dangerous()
            .with_custom_certificate_verifier(verifier::AnyCertificate::new(provider)),
    };
    let config = match &wish.certificate {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let key = wish.key.as_deref().ok_or(TlsError::NoKey)?;
            builder.with_client_auth_cert(certificates(path)?, private_key(key)?)?
        }
    };
    Ok(Arc::new(config))
}

/// The certificates that this system trusts.
pub(crate) fn system_certificates() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "some of the system's certificates are left out");
    }
    found.certs
}

fn roots(wish: &TlsWish) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match &wish.root {
        None => {
            store.add_parsable_certificates(system_certificates());
        }
        Some(path) => {
            for certificate in certificates(path)? {
                store.add(certificate).map_err(|error| unreadable(path, &error))?;
            }
        }
    }
    if store.is_empty() { Err(TlsError::NoRoots) } else { Ok(store) }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(path, &error));
    match found? {
        empty if empty.is_empty() => Err(unreadable(path, &"it holds no certificate")),
        certificates => Ok(certificates),
    }
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::Certificates { path: path.display().to_string(), reason: reason.to_string() }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::Key {
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

/// `tls-server-end-point` of RFC 5929: the hash of the server's certificate, by the hash function
/// of its signature, where MD5 and SHA-1 give way to SHA-256. None where a signature has none.
pub(crate) fn server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = Certificate::from_der(certificate).ok()?.signature_algorithm.oid;
    Some(digest(hash_of(algorithm)?, certificate).as_ref().to_vec())
}

fn hash_of(signature: ObjectIdentifier) -> Option<&'static Algorithm> {
    match signature {
        rfc5912::MD_5_WITH_RSA_ENCRYPTION
        | rfc5912::SHA_1_WITH_RSA_ENCRYPTION
        | rfc5912::SHA_256_WITH_RSA_ENCRYPTION
        | rfc5912::ECDSA_WITH_SHA_256 => Some(&SHA256),
        rfc5912::SHA_384_WITH_RSA_ENCRYPTION | rfc5912::ECDSA_WITH_SHA_384 => Some(&SHA384),
        rfc5912::SHA_512_WITH_RSA_ENCRYPTION | rfc5912::ECDSA_WITH_SHA_512 => Some(&SHA512),
        _ => None,
    }
}
