//! Sends a request of the collection as it was rendered.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use ureq::Agent;
use ureq::http::Request as HttpRequest;

use crate::export::{Pair, Request, Variables};
use crate::template::render;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What came back; the names are those of `insomnia.response`.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Header {
    key: String,
    value: String,
}

/// A client for which every status is an answer.
pub(crate) fn client() -> Agent {
    Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build().into()
}

pub(crate) fn send(client: &Agent, request: &Request, variables: &Variables) -> Result<Answer> {
    let url = render(&request.url, variables)? + &query(&request.parameters, variables)?;
    let mut outgoing = HttpRequest::builder().method(request.method.as_str()).uri(&url);
    for Pair { name, value } in &request.headers {
        outgoing = outgoing.header(name, render(value, variables)?);
    }
    let answered = match &request.body.text {
        Some(text) => client.run(outgoing.body(render(text, variables)?)?),
        None => client.run(outgoing.body(())?),
    };
    let mut response = answered.with_context(|| format!("{} {url} was not answered", request.method))?;
    let headers = response.headers().iter().map(|(name, value)| Header {
        key: name.to_string(),
        value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
    });
    Ok(Answer {
        code: response.status().as_u16(),
        headers: headers.collect(),
        body: response.body_mut().read_to_string()?,
    })
}

fn query(parameters: &[Pair], variables: &Variables) -> Result<String> {
    let mut query = String::new();
    for Pair { name, value } in parameters {
        let separator = if query.is_empty() { '?' } else { '&' };
        write!(query, "{separator}{name}={}", percent_encoded(&render(value, variables)?))?;
    }
    Ok(query)
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[test]
fn parameters_become_an_encoded_query() -> Result<()> {
    let parameters: Vec<Pair> =
        serde_json::from_str(r#"[{"name": "limit", "value": "1"}, {"name": "cursor", "value": "a b&ü"}]"#)?;
    assert_eq!(query(&parameters, &Variables::new())?, "?limit=1&cursor=a%20b%26%C3%BC");
    Ok(())
}
