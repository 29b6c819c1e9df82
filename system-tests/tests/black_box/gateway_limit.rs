//! More requests at a time than the gateway lets in.
//!
//! A request counts from its header on, so one that keeps its body back is held for as long as a test likes. That nginx
//! asks for the body (`100 Continue`) tells that it has been counted.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde::Deserialize;

use crate::client::User;
use crate::stack;

const BODY: &str = r#"{"bill": 62243}"#;

#[test]
fn what_is_more_than_the_gateway_lets_in_is_refused_and_what_it_has_let_in_is_finished() {
    let (_alone, user) = (stack::alone(), User::demo());
    let held: Vec<_> = (0..limit()).map(|_| Held::begin()).collect();
    for path in ["/api/orders", "/api/payments"] {
        let refused = user.get(path);
        refused.assert_problem(429, "too_many_requests");
        assert_eq!(refused.header("Retry-After"), Some("1"), "{refused:?}");
    }
    for request in held {
        assert_eq!(request.finish(), "HTTP/1.1 201 Created");
    }
    user.place_order();
}

/// How the gateway was planned.
#[derive(Deserialize)]
struct Plan {
    gateway_max_concurrent_requests: usize,
}

fn limit() -> usize {
    let plan = fs::read(stack::dir().join("plan.json")).expect("the stack has a plan");
    let plan: Plan = serde_json::from_slice(&plan).expect("the plan can be read");
    plan.gateway_max_concurrent_requests
}

/// A request for an order whose body has not been sent yet.
struct Held(BufReader<TcpStream>);

impl Held {
    #[track_caller]
    fn begin() -> Self {
        let gateway = stack::gateway_url();
        let address = gateway.strip_prefix("http://").expect("an address");
        let mut connection = TcpStream::connect(address).expect("the gateway listens");
        let header = format!(
            "POST /api/orders HTTP/1.1\r\nHost: {address}\r\nAuthorization: thisisajwttoken\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            BODY.len()
        );
        connection.write_all(header.as_bytes()).expect("the header is sent");
        let mut held = Self(BufReader::new(connection));
        assert_eq!((held.line(), held.line()), ("HTTP/1.1 100 Continue".to_owned(), String::new()));
        held
    }

    /// The first line of the answer.
    #[track_caller]
    fn finish(mut self) -> String {
        self.0.get_mut().write_all(BODY.as_bytes()).expect("the body is sent");
        self.line()
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line is read");
        line.trim_end().to_owned()
    }
}
