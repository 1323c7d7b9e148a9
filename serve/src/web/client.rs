//! What is asked of a client's certificate: Go's five policies, and the names that it must have.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::file::Tls;

/// A policy: its names, whether a certificate must be sent, and whether it is verified.
const POLICIES: &[(&[&str], bool, bool, &str)] = &[
    (&["RequestClientCert"], false, false, "asked for and not verified"),
    (&["RequireAnyClientCert", "RequireClientCert"], true, false, "required and not verified"),
    (&["VerifyClientCertIfGiven"], false, true, "verified where given"),
    (&["RequireAndVerifyClientCert"], true, true, "required and verified"),
];

/// The policy that asks for nothing.
const NONE: &str = "NoClientCert";

/// What looks at clients' certificates, and what it wants of them.
pub(super) struct Verifier {
    /// `None` where no certificate is asked for.
    pub(super) clients: Option<Arc<dyn ClientCertVerifier>>,
    /// The policy in words.
    pub(super) words: &'static str,
    /// Whether there must be a certificate.
    pub(super) mandatory: bool,
    /// Whether its chain is verified.
    pub(super) verified: bool,
    /// Whether it must have one of some names.
    pub(super) named: bool,
}

/// Makes what looks at clients' certificates.
///
/// # Errors
/// Where the keys do not go together.
pub(super) fn verifier(
    tls: &Tls,
    roots: Option<Vec<CertificateDer<'static>>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifier, String> {
    let asked = tls.client_auth_type.as_deref().filter(|it| !it.is_empty()).unwrap_or(NONE);
    let allowed_names = tls.client_allowed_sans.clone();
    if asked == NONE {
        return if roots.is_some() || allowed_names.is_some() {
            Err(format!(
                "client_ca_file and client_allowed_sans ask for nothing with client_auth_type {NONE}; give RequireAndVerifyClientCert"
            ))
        } else {
            let words = "not asked for";
            Ok(Verifier { clients: None, words, mandatory: false, verified: false, named: false })
        };
    }
    let Some((_, mandatory, verified, words)) = POLICIES.iter().find(|(names, ..)| names.contains(&asked))
    else {
        let known: Vec<_> = POLICIES.iter().map(|(names, ..)| names[0]).collect();
        return Err(format!(
            "client_auth_type: there is no {asked:?}; there are {NONE}, {}",
            known.join(", ")
        ));
    };
    let chains = match (verified, roots) {
        (false, _) => None,
        (true, None) => return Err(format!("client_auth_type {asked} needs a client_ca_file")),
        (true, Some(roots)) => {
            let mut store = RootCertStore::empty();
            for root in roots {
                store.add(root).map_err(|error| format!("client_ca_file: {error}"))?;
            }
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
            Some(builder.build().map_err(|error| format!("client_ca_file: {error}"))?)
        }
    };
    let algorithms = provider.signature_verification_algorithms;
    let (mandatory, verified, named) = (*mandatory, *verified, allowed_names.is_some());
    let clients = Arc::new(Clients { chains, mandatory, allowed_names, algorithms });
    Ok(Verifier { clients: Some(clients), words, mandatory, verified, named })
}

/// Looks at clients' certificates.
#[derive(Debug)]
struct Clients {
    /// What verifies their chains, where they are verified.
    chains: Option<Arc<dyn ClientCertVerifier>>,
    mandatory: bool,
    /// One of which a certificate must have.
    allowed_names: Option<Vec<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.as_ref().map_or(&[], |chains| chains.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chains) = &self.chains {
            chains.verify_client_cert(certificate, intermediates, now)?;
        }
        if let Some(allowed) = &self.allowed_names {
            let names = names(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
            if !names.iter().any(|name| allowed.contains(name)) {
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The alternative names of a certificate's subject, as text: of hosts, addresses of mail, numbers of hosts, URIs. `None` where it
/// cannot be read.
fn names(certificate: &[u8]) -> Option<Vec<String>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let found = certificate.tbs_certificate().get_extension::<SubjectAltName>().ok()?;
    let names = found.map(|(_, names)| names.0).unwrap_or_default();
    Some(names.iter().filter_map(as_text).collect())
}

fn as_text(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) | GeneralName::Rfc822Name(name) => Some(name.as_str().to_owned()),
        GeneralName::UniformResourceIdentifier(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let of4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            of4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(|it| it.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, names: Option<&[&str]>) -> Result<&'static str, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let tls = Tls { client_auth_type: Some(name.into()), client_allowed_sans: names, ..Tls::default() };
        verifier(&tls, None, &provider).map(|verifier| verifier.words)
    }

    #[test]
    fn every_policy_of_the_format_is_known_and_others_are_not() {
        for name in ["", "NoClientCert", "RequestClientCert", "RequireAnyClientCert", "RequireClientCert"] {
            assert!(policy(name, None).is_ok(), "{name}");
        }
        for name in ["VerifyClientCertIfGiven", "RequireAndVerifyClientCert"] {
            assert!(policy(name, None).unwrap_err().contains("client_ca_file"), "{name}");
        }
        let error = policy("Maybe", None).unwrap_err();
        assert!(error.contains("Maybe") && error.contains("RequireAndVerifyClientCert"), "{error}");
    }

    #[test]
    fn names_without_a_policy_would_protect_nothing_and_are_an_error() {
        assert!(policy("NoClientCert", Some(&["scraper"])).unwrap_err().contains("client_allowed_sans"));
        assert!(policy("RequireAnyClientCert", Some(&["scraper"])).is_ok());
    }
}
