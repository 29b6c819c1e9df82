//! The runner must be able to fail: small collections against a server that always answers the same.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::export::Export;
use crate::runner::{Report, run};

const BODY: &str = r#"{"data": {"status": "created"}}"#;

#[test]
fn an_assertion_that_holds_is_counted() -> Result<()> {
    let report = run_script("insomnia.test('is 200', () => insomnia.expect(insomnia.response.code).to.eql(200));")?;
    assert_eq!((report.sent, report.assertions), (1, 1));
    assert_eq!(report.failures, [""; 0]);
    Ok(())
}

#[test]
fn an_assertion_that_does_not_hold_is_reported_with_its_folder_and_request() -> Result<()> {
    let expectation = "insomnia.expect(insomnia.response.json().data.status).to.eql('paid')";
    assert_fails(
        &format!("insomnia.test('is paid', () => {{ {expectation}; }});"),
        &format!(r#"1 Folder / Read: is paid: expected "created" to be "paid"; the answer was 200 {BODY}"#),
    )
}

#[test]
fn every_kind_of_expectation_can_fail() -> Result<()> {
    for expectation in [
        "to.eql(['created'])",
        "to.include('paid')",
        "to.match(/^paid$/)",
        "to.be.a('number')",
        "to.be.least('d')",
        "to.be.oneOf(['paid', 'declined'])",
    ] {
        let expectation = format!("insomnia.expect(insomnia.response.json().data.status).{expectation}");
        assert_fails(
            &format!("insomnia.test('holds', () => {{ {expectation}; }});"),
            r#"holds: expected "created" to"#,
        )?;
    }
    Ok(())
}

#[test]
fn what_insomnia_may_have_but_the_runner_has_not_is_reported() -> Result<()> {
    assert_fails("insomnia.test('is', () => insomnia.expect(1).to.be.ok);", "to.be.ok is not supported here")?;
    assert_fails("insomnia.sendRequest('/');", "insomnia.sendRequest is not supported here")
}

#[test]
fn a_script_that_throws_is_reported() -> Result<()> {
    assert_fails("insomnia.response.json().data.items.length;", "the script fails: TypeError")?;
    assert_fails("insomnia.test('is'", "the script fails: SyntaxError")
}

#[test]
fn a_request_that_asserts_nothing_is_reported() -> Result<()> {
    assert_fails("", "asserts nothing")
}

#[test]
fn a_request_may_repeat_itself_until_it_is_satisfied() -> Result<()> {
    let report = run_script(
        "insomnia.environment.set('tries', insomnia.environment.get('tries') + 1);
         if (insomnia.environment.get('tries') < 3) {
           await new Promise((resolve) => setTimeout(resolve, 1));
           insomnia.execution.setNextRequest('Read');
         } else {
           insomnia.test('was patient', () => {});
         }",
    )?;
    assert_eq!((report.sent, report.assertions, report.failures.len()), (3, 1, 0));
    Ok(())
}

#[test]
fn a_request_that_repeats_itself_for_ever_is_given_up() -> Result<()> {
    assert_fails("insomnia.execution.setNextRequest('Read');", "repeats itself after")
}

#[track_caller]
fn assert_fails(script: &str, failure: &str) -> Result<()> {
    let report = run_script(script)?;
    assert_eq!(report.failures.len(), 1, "{script}: {report}");
    assert!(report.failures[0].contains(failure), "{script}: {failure:?} is not in {report}");
    Ok(())
}

/// Runs a collection of one request with this after-response script.
fn run_script(script: &str) -> Result<Report> {
    let collection: Export = serde_json::from_value(json!({
        "_type": "export",
        "__export_format": 4,
        "resources": [
            {"_id": "env", "_type": "environment", "name": "Base", "data": {"tries": 0}},
            {"_id": "fld", "_type": "request_group", "name": "1 Folder"},
            {
                "_id": "req", "_type": "request", "parentId": "fld", "name": "Read",
                "method": "GET", "url": "{{ _.baseUrl }}/orders", "parameters": [], "headers": [], "body": {},
                "preRequestScript": "", "afterResponseScript": script,
            },
        ],
    }))?;
    run(&collection, &server()?, Duration::from_millis(200))
}

/// Where a server answers every request with [`BODY`].
fn server() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection?;
            let head = BufReader::new(&connection).lines().map_while(Result::ok);
            head.take_while(|line| !line.is_empty()).for_each(drop);
            let length = BODY.len();
            write!(connection, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{BODY}")?;
        }
        std::io::Result::Ok(())
    });
    Ok(format!("http://{address}"))
}
