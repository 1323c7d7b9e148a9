//! TLS as a web configuration asks for it, by rustls.
//!
//! Names of versions, cipher suites and curves are Go's, as the format has them. What rustls leaves out on purpose (TLS 1.0
//! and 1.1, CBC and RSA key exchange, P-521 with this cryptography) is refused with what there is, never left out silently.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{NamedGroup, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};

use super::client::{self, Verifier};
use super::file::Tls;

/// Versions by the format's names, the oldest first.
const VERSIONS: &[(&str, &SupportedProtocolVersion)] =
    &[("TLS12", &rustls::version::TLS12), ("TLS13", &rustls::version::TLS13)];

/// Sessions and handshakes are the library's; the rest of a file's words are these.
const CURVES: &[(&str, NamedGroup)] = &[
    ("CurveP256", NamedGroup::secp256r1),
    ("CurveP384", NamedGroup::secp384r1),
    ("CurveP521", NamedGroup::secp521r1),
    ("X25519", NamedGroup::X25519),
];

/// What the files hold, or the keys that stand for them.
#[derive(Default)]
pub(super) struct Texts {
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) client_ca: Option<Vec<u8>>,
}

/// The server's side of TLS.
pub(super) struct Server {
    pub(super) config: ServerConfig,
    /// What it asks of clients' certificates.
    pub(super) clients: Verifier,
}

/// Makes the server's side of TLS; `None` where the file says nothing of TLS.
///
/// # Errors
/// What is wrong, by its key.
pub(super) fn server(tls: &Tls, texts: &Texts, http2: bool) -> Result<Option<Server>, String> {
    // Whoever writes anything of TLS does not want to serve in the clear.
    if *tls == Tls::default() {
        return Ok(None);
    }
    configured(tls, texts, http2).map(Some).map_err(|error| format!("tls_server_config: {error}"))
}

fn configured(tls: &Tls, texts: &Texts, http2: bool) -> Result<Server, String> {
    let certificate = texts.certificate.as_ref().ok_or("cert_file is missing")?;
    let key = texts.key.as_ref().ok_or("key_file is missing")?;
    let chain = certificates("cert_file", certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
        format!("key_file: no private key in PEM: {error}; one with a passphrase cannot be used")
    })?;
    let versions = versions(tls.min_version.as_deref(), tls.max_version.as_deref())?;
    let provider = Arc::new(provider(tls)?);
    let roots = texts.client_ca.as_deref().map(|text| certificates("client_ca_file", text)).transpose()?;
    let clients = client::verifier(tls, roots, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| format!("cipher_suites, min_version and max_version do not go together: {error}"))?;
    let builder = match clients.clients.clone() {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("cert_file and key_file cannot be used together: {error}"))?;
    config.ignore_client_order = tls.prefer_server_cipher_suites.unwrap_or(true);
    let protocols: &[&str] = if http2 { &["h2", "http/1.1"] } else { &["http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    Ok(Server { config, clients })
}

fn certificates(key: &str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let all = all.map_err(|error| format!("{key}: not in PEM: {error}"))?;
    if all.is_empty() { Err(format!("{key}: there is no certificate in PEM")) } else { Ok(all) }
}

fn versions(min: Option<&str>, max: Option<&str>) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let position = |key: &str, name: Option<&str>, default| match name {
        None | Some("") => Ok(default),
        Some(name) => VERSIONS.iter().position(|(known, _)| *known == name).ok_or_else(|| {
            format!("{key}: {name:?} is no version that is safe to use; there are TLS12 and TLS13")
        }),
    };
    let (min, max) = (position("min_version", min, 0)?, position("max_version", max, VERSIONS.len() - 1)?);
    if min > max {
        return Err("min_version is above max_version".to_owned());
    }
    Ok(VERSIONS[min..=max].iter().map(|(_, version)| *version).collect())
}

/// The cryptography, with the suites and curves that the file asks for, in its order.
fn provider(tls: &Tls) -> Result<CryptoProvider, String> {
    let mut provider = ring::default_provider();
    if let Some(wanted) = tls.cipher_suites.as_ref().filter(|it| !it.is_empty()) {
        let of_tls13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
        let mut suites = Vec::new();
        for name in wanted {
            let known = provider.cipher_suites.iter().find(|suite| suite_name(suite) == *name);
            suites.push(*known.ok_or_else(|| {
                unknown("cipher_suites", name, provider.cipher_suites.iter().map(suite_name))
            })?);
        }
        // The list is one of suites up to TLS 1.2; those of 1.3 are not chosen by it.
        let missing =
            provider.cipher_suites.iter().filter(|suite| of_tls13(suite) && !suites.contains(suite));
        suites.extend(missing.copied().collect::<Vec<_>>());
        provider.cipher_suites = suites;
    }
    if let Some(wanted) = tls.curve_preferences.as_ref().filter(|it| !it.is_empty()) {
        let mut groups: Vec<&'static dyn SupportedKxGroup> = Vec::new();
        for name in wanted {
            let group = CURVES.iter().find(|(known, _)| known == name).map(|(_, group)| *group);
            let known = provider.kx_groups.iter().find(|known| Some(known.name()) == group);
            let names =
                CURVES.iter().filter(|(_, it)| provider.kx_groups.iter().any(|own| own.name() == *it));
            let names = names.map(|(known, _)| (*known).to_owned());
            groups.push(*known.ok_or_else(|| unknown("curve_preferences", name, names))?);
        }
        provider.kx_groups = groups;
    }
    Ok(provider)
}

/// A suite's name as Go has it.
fn suite_name(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
}

fn unknown(key: &str, name: &str, known: impl Iterator<Item = String>) -> String {
    format!("{key}: {name} is not supported; there are {}", known.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(names: &[&str]) -> Result<CryptoProvider, String> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        provider(&Tls { cipher_suites: Some(names), ..Tls::default() })
    }

    #[test]
    fn cipher_suites_have_the_names_that_go_gives_them() {
        let chosen =
            ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"];
        let provider = suites(&chosen).unwrap();
        let of_tls12 = provider.cipher_suites.iter().filter(|suite| suite.tls13().is_none());
        assert_eq!(of_tls12.map(suite_name).collect::<Vec<_>>(), chosen);
        assert_eq!(provider.cipher_suites.iter().filter(|suite| suite.tls13().is_some()).count(), 3);
        assert!(suites(&["TLS_AES_128_GCM_SHA256"]).is_ok());
    }

    #[test]
    fn what_is_not_supported_is_named_with_what_is() {
        let error = suites(&["TLS_RSA_WITH_AES_128_CBC_SHA"]).unwrap_err();
        assert!(error.contains("CBC") && error.contains("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), "{error}");
        let curves = Some(vec!["CurveP521".to_owned()]);
        let error = provider(&Tls { curve_preferences: curves, ..Tls::default() }).unwrap_err();
        assert!(error.contains("CurveP521 is not") && error.contains("X25519"), "{error}");
        for (min, max, part) in [
            (Some("TLS10"), None, "TLS12 and TLS13"),
            (None, Some("TLS11"), "max_version"),
            (Some("TLS13"), Some("TLS12"), "above"),
        ] {
            assert!(versions(min, max).unwrap_err().contains(part), "{min:?} {max:?}");
        }
        assert_eq!(versions(Some("TLS13"), None).unwrap().len(), 1);
        assert_eq!(versions(None, None).unwrap().len(), 2);
    }

    #[test]
    fn a_part_of_tls_alone_is_an_error_and_none_of_it_is_none() {
        assert!(server(&Tls::default(), &Texts::default(), true).unwrap().is_none());
        let texts = Texts { certificate: Some(b"x".to_vec()), ..Texts::default() };
        let some = || Tls { cert_file: Some("x".into()), ..Tls::default() };
        let error = server(&some(), &texts, true).err().unwrap();
        assert!(error.contains("key_file is missing"), "{error}");
        let version = Tls { min_version: Some("TLS13".into()), ..Tls::default() };
        assert!(server(&version, &Texts::default(), true).is_err(), "it would serve in the clear");
        let policy = Tls { client_auth_type: Some("RequireAndVerifyClientCert".into()), ..Tls::default() };
        let error = server(&policy, &Texts::default(), true).err().unwrap();
        assert!(error.contains("cert_file is missing"), "{error}");
        let texts = Texts { certificate: Some(b"x".to_vec()), key: Some(b"y".to_vec()), ..Texts::default() };
        let error = server(&some(), &texts, true).err().unwrap();
        assert!(error.contains("no certificate in PEM"), "{error}");
    }
}
