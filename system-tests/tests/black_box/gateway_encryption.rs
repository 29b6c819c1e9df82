//! A gateway that speaks TLS, with a certificate of an authority of the tests' own.

use std::fs;
use std::io;
use std::sync::Arc;

use service_kit::testing::authority::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::own_stack::OwnStack;
use crate::stack;
use crate::storage::waiting;

const REQUEST: &[u8] = b"GET /api/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: thisisajwttoken\r\n\
    Connection: close\r\n\r\n";

#[test]
fn an_encrypted_gateway_proves_who_it_is_and_answers_nothing_in_the_clear() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (certificate, key) = ours.vouch_for(&["localhost"]);
    let folder = stack::dir().with_file_name("encrypted-stack-keys");
    fs::create_dir_all(&folder).expect("a folder");
    let (certificate_file, key_file) = (folder.join("certificate.pem"), folder.join("key.pem"));
    fs::write(&certificate_file, certificate.pem()).expect("the certificate is written");
    fs::write(&key_file, key.serialize_pem()).expect("the key is written");
    let settings = [
        ("GATEWAY_CERTIFICATE", certificate_file.to_str().expect("a path")),
        ("GATEWAY_KEY", key_file.to_str().expect("a path")),
    ];
    let own = OwnStack::start_with("encrypted-stack", 1, &settings);
    let gateway = own.now().gateway;
    let address = gateway.strip_prefix("https://").expect("it is encrypted");

    let answer = waiting().block_on(ask_encrypted(address, &ours, "localhost")).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("Strict-Transport-Security: max-age=31536000"), "{answer}");

    for (authority, host) in [(&theirs, "localhost"), (&ours, "elsewhere.example")] {
        let refusal = waiting().block_on(ask_encrypted(address, authority, host)).expect_err("it is not trusted");
        assert!(refusal.to_string().contains("certificate"), "{host}: {refusal}");
    }

    let answer = waiting().block_on(ask_in_the_clear(address)).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    for part in ["application/problem+json", "\"code\":\"bad_request\"", "Only encrypted requests are answered here"] {
        assert!(answer.contains(part), "{answer}");
    }
}

async fn ask_encrypted(address: &str, authority: &Authority, host: &str) -> io::Result<String> {
    let mut trusted = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authority.file()).expect("a certificate");
    trusted.add(certificate).expect("the certificate of an authority");
    let config = ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    let host = ServerName::try_from(host.to_owned()).expect("a name");
    let socket = TcpStream::connect(address).await?;
    let mut socket = TlsConnector::from(Arc::new(config)).connect(host, socket).await?;
    ask(&mut socket).await
}

async fn ask_in_the_clear(address: &str) -> io::Result<String> {
    ask(&mut TcpStream::connect(address).await?).await
}

async fn ask(socket: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> io::Result<String> {
    socket.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer).await {
        // nginx ends an HTTP connection without saying goodbye to TLS.
        Err(problem) if problem.kind() != io::ErrorKind::UnexpectedEof => Err(problem),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}
