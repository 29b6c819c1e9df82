//! The documents of the API, made of the code. The gateway serves them.

pub mod asyncapi;
pub mod breaking;
pub mod events;
pub mod gateway;
pub mod openapi;
pub mod problems;
pub mod swagger_ui;

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};
use shared_events::envelope;

/// Every generated file, by its name in `gateway/public`, which is the path it is served at.
pub fn files() -> Result<BTreeMap<String, Vec<u8>>> {
    let openapi = openapi::document();
    let mut files = BTreeMap::from([
        (".well-known/api-catalog.json".to_owned(), text(&catalog())?),
        ("api/openapi.json".to_owned(), text(&openapi)?),
        ("api/docs/problems/index.html".to_owned(), problems::html(&openapi).into_bytes()),
    ]);
    let events = events::all();
    let asyncapi = asyncapi::document(&events);
    files.insert("api/asyncapi.json".to_owned(), text(&asyncapi)?);
    for event in &events {
        let schema = events::data_schema(event, asyncapi::schemas(&asyncapi).into_iter().flatten());
        files.insert(format!("{}.json", &envelope::data_schema(event.name)[1..]), text(&schema)?);
    }
    for (name, content) in swagger_ui::files()? {
        files.insert(format!("api/docs/swagger-ui/{name}"), content);
    }
    Ok(files)
}

/// Where everything is, for who knows nothing but the address: a linkset (RFC 9264) at the place of RFC 9727.
fn catalog() -> Value {
    json!({"linkset": [{
        "anchor": "/api",
        "service-desc": [
            {"href": "/api/openapi.json", "type": "application/json", "title": "The routes, as OpenAPI 3.1"},
            {"href": "/api/asyncapi.json", "type": "application/json", "title": "The events, as AsyncAPI 3"},
        ],
        "service-doc": [
            {"href": "/api/docs", "type": "text/html", "title": "The routes, to be browsed and tried out"},
            {"href": "/api/docs/problems", "type": "text/html", "title": "Every error and what to do about it"},
        ],
    }]})
}

fn text(document: &Value) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(document)?;
    text.push(b'\n');
    Ok(text)
}
