//! A certificate authority of the tests' own.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use uuid::Uuid;

/// Vouches for servers.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
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

    /// A certificate that says that whoever has the key is this host.
    pub fn vouch_for(&self, host: &str) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let parameters = CertificateParams::new([host.to_owned()]).expect("a name");
        (parameters.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}
