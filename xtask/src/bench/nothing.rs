//! A handler that does nothing, to stand behind the gateway: it reads a request and answers with an order that is always
//! the same. A thread for each connection is enough, since the gateway keeps few.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

const ORDER: &str = r#"{"data":{"id":"01a20616-ee6f-759c-9ca9-709cba7d9bcf","status":"created","bill":62243,"currency":"USD","createdBy":"somerandomuserid","paymentStatus":"pending","deliverAt":null,"expiresAt":"2026-11-24T01:48:15.857534Z","cancelReason":null,"version":1,"createdAt":"2026-11-23T01:48:15.857534Z","updatedAt":"2026-11-23T01:48:15.857534Z"}}"#;

/// Serves until we end; answers where.
pub(crate) fn serve() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks is the gateway's to open again.
            thread::spawn(move || answer_all(&stream));
        }
    });
    Ok(port)
}

fn answer_all(stream: &TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    while let Some(request) = read(&mut reader)? {
        let status = if request.starts_with("POST") { "201 Created" } else { "200 OK" };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", ORDER.len());
        writer.write_all((head + ORDER).as_bytes())?;
    }
    Ok(())
}

/// The first line of a request that was read to its end; none at the end of the connection.
fn read(reader: &mut impl BufRead) -> Result<Option<String>> {
    let mut request = String::new();
    if reader.read_line(&mut request)? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or_default();
        }
        line.clear();
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    Ok(Some(request))
}
