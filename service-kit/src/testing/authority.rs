//! A certificate authority of the tests' own.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use uuid::Uuid;

/// Vouches for servers.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    /// One that nobody trusts yet.
    #[expect(clippy::new_without_default, reason = "no authority is like another")]
    pub fn new() -> Self {
        let mut parameters = CertificateParams::new([]).expect("parameters");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(parameters, key).expect("a certificate");
        let file = std::env::temp_dir().join(format!("authority-{}.pem", Uuid::new_v4()));
        fs::write(&file, issuer.pem()).expect("the certificate is written");
        Self { issuer, file }
    }

    /// The file with its certificate.
    pub fn file(&self) -> &str {
        self.file.to_str().expect("a path")
    }

    /// A certificate that says that whoever has the key is these hosts.
    pub fn vouch_for(&self, hosts: &[&str]) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let parameters = CertificateParams::new(names).expect("names");
        (parameters.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    /// What a server needs that says that it is these hosts.
    pub fn acceptor(&self, hosts: &[&str]) -> TlsAcceptor {
        let (certificate, key) = self.vouch_for(hosts);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key).expect("a certificate and its key");
        TlsAcceptor::from(Arc::new(config))
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}
