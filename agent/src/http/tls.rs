//! TLS: whom to trust, and what to show.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::{Protocol, TlsFiles};

/// The settings of connections, from the files as they are now.
///
/// # Errors
/// What is wrong with the files, and what to do.
pub(crate) fn config(files: &TlsFiles, protocol: Protocol) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(files.certificate.as_deref())?);
    let mut config = match (&files.client_certificate, &files.client_key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let parsed = PrivateKeyDer::from_pem_file(key);
            let parsed = parsed.map_err(|error| format!("{}: no key in PEM: {error}", key.display()))?;
            builder
                .with_client_auth_cert(certificates(certificate)?, parsed)
                .map_err(|error| format!("{}: does not fit its key: {error}", certificate.display()))?
        }
        (Some(_), None) => return Err("a client certificate needs its key: name it, too".to_owned()),
        (None, Some(_)) => return Err("a client key needs its certificate: name it, too".to_owned()),
    };
    config.alpn_protocols = vec![match protocol {
        Protocol::Grpc => b"h2".to_vec(),
        Protocol::Http => b"http/1.1".to_vec(),
    }];
    Ok(Arc::new(config))
}

/// The authorities of a file, or the system's.
fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        let found = rustls_native_certs::load_native_certs();
        // Of some hundred there may be one that is too odd.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(
                "this system has no certificate authorities: install them (ca-certificates), or name a file \
                        of them (`--certificate`, OTEL_EXPORTER_OTLP_CERTIFICATE)"
                    .to_owned(),
            );
        }
        return Ok(roots);
    };
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| format!("{}: no authority: {error}", file.display()))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(format!("{}: has no certificate in PEM", file.display()))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("{}: no certificate in PEM: {error}", file.display())),
    }
}
