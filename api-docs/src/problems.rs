//! `/api/docs/problems`: the page that the `type` of every problem leads to.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value};
use service_kit::problem_types::{self, ProblemType};

use crate::gateway;

/// Every problem there is, under what its section is headed with.
pub fn catalogue() -> Vec<(&'static str, Vec<&'static ProblemType>)> {
    vec![
        ("Any request", problem_types::ALL.to_vec()),
        ("Orders", orders_service::problems::ALL.to_vec()),
        ("Payments", payments_service::problems::ALL.to_vec()),
        ("The gateway itself", gateway::ALL.to_vec()),
        (
            "Operators, on the admin address",
            [problem_types::admin::ALL, payments_service::problems::admin::ALL].concat(),
        ),
    ]
}

/// The page; which routes have a problem is read off the document of the API.
pub fn html(openapi: &Value) -> String {
    let mut page = String::from(HEAD);
    for (heading, problems) in catalogue() {
        let _ = writeln!(page, "<h2>{heading}</h2>");
        for problem in problems {
            let ProblemType { status, code, title, advice, retry_after } = problem;
            let _ = writeln!(
                page,
                "<section id=\"{code}\">\n<h3><code>{code}</code> <small>{}</small></h3>",
                status.as_u16()
            );
            let _ = writeln!(page, "<p><strong>{}.</strong> {}</p>", escaped(title), escaped(advice));
            if let Some(seconds) = retry_after {
                let _ = writeln!(page, "<p>The answer has <code>Retry-After: {seconds}</code>.</p>");
            }
            let routes = routes(openapi);
            let with_it: Vec<_> = routes.iter().filter(|(_, codes)| codes.contains(code)).collect();
            if with_it.len() == routes.len() {
                page.push_str("<p class=\"routes\">Every route.</p>\n");
            } else if !with_it.is_empty() {
                let with_it: Vec<_> =
                    with_it.iter().map(|(route, _)| format!("<code>{}</code>", escaped(route))).collect();
                let _ = writeln!(page, "<p class=\"routes\">{}</p>", with_it.join(" "));
            }
            page.push_str("</section>\n");
        }
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Order processing: problems</title>
<link rel="icon" href="/api/docs/swagger-ui/favicon-32x32.png">
<link rel="stylesheet" href="/api/docs/docs.css">
</head>
<body>
<nav><a href="/api/docs">The API</a> <a href="/api/docs/problems" aria-current="page">Problems</a>
<a href="/api/openapi.json">openapi.json</a> <a href="/api/asyncapi.json">asyncapi.json</a></nav>
<main class="prose">
<h1>Problems</h1>
<p>Every refusal and failure is <code>application/problem+json</code>
(<a href="https://www.rfc-editor.org/rfc/rfc9457">RFC 9457</a>). Its <code>code</code> is one of these, its
<code>type</code> leads here, and its <code>detail</code> says what to do this time. Report the <code>requestId</code>
when you ask somebody for help.</p>
"#;

/// Every route with the codes that it may answer.
fn routes(openapi: &Value) -> Vec<(String, BTreeSet<&str>)> {
    let mut routes = Vec::new();
    for (path, item) in openapi["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let answers = operation["responses"].as_object().into_iter().flat_map(Map::values);
            let answers = answers.filter_map(|answer| openapi.pointer(answer["$ref"].as_str()?.strip_prefix('#')?));
            let examples =
                answers.filter_map(|answer| answer["content"]["application/problem+json"]["examples"].as_object());
            let codes = examples.flat_map(Map::keys).map(String::as_str).collect();
            routes.push((format!("{} {path}", method.to_uppercase()), codes));
        }
    }
    routes
}

fn escaped(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // What is code in the catalogue is code here.
    let parts = escaped.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}
