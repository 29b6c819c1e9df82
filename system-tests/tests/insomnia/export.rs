//! The file: an export of Insomnia, version 4. Only what is of use here is read.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The variables of an environment.
pub(crate) type Variables = Map<String, Value>;

#[derive(Deserialize)]
pub(crate) struct Export {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    #[serde(rename = "__export_format")]
    pub(crate) format: u8,
    pub(crate) resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resource {
    #[serde(rename = "_id")]
    pub(crate) id: String,
    pub(crate) parent_id: Option<String>,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) meta_sort_key: i64,
    #[serde(flatten)]
    pub(crate) kind: Kind,
}

#[derive(Deserialize)]
#[serde(tag = "_type", rename_all = "snake_case")]
pub(crate) enum Kind {
    Workspace,
    Environment { data: Variables },
    CookieJar,
    RequestGroup,
    Request(Request),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) parameters: Vec<Pair>,
    pub(crate) headers: Vec<Pair>,
    pub(crate) body: Body,
    pub(crate) pre_request_script: String,
    pub(crate) after_response_script: String,
}

#[derive(Deserialize)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(Deserialize)]
pub(crate) struct Body {
    pub(crate) text: Option<String>,
}

impl Export {
    pub(crate) fn of_this_repository() -> Result<Self> {
        serde_json::from_str(include_str!("../../../insomnia_collection.json"))
            .context("insomnia_collection.json is no export of Insomnia")
    }

    /// Folder and request, in the order of the file.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&Resource, &Resource, &Request)> {
        self.resources.iter().filter_map(|resource| match &resource.kind {
            Kind::Request(request) => Some((self.parent(resource)?, resource, request)),
            Kind::Workspace | Kind::Environment { .. } | Kind::CookieJar | Kind::RequestGroup => None,
        })
    }

    pub(crate) fn parent(&self, resource: &Resource) -> Option<&Resource> {
        self.resources.iter().find(|other| Some(&other.id) == resource.parent_id.as_ref())
    }

    /// The base environment with the variables of the environments below it, as when those are chosen.
    pub(crate) fn variables(&self) -> Variables {
        let environments = self.resources.iter().filter_map(|resource| match &resource.kind {
            Kind::Environment { data } => Some(data.clone()),
            Kind::Workspace | Kind::CookieJar | Kind::RequestGroup | Kind::Request(_) => None,
        });
        environments.flatten().collect()
    }
}

impl Request {
    /// Everything that may hold `{{ _.variables }}`.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &str> {
        let pairs = self.headers.iter().chain(&self.parameters);
        [self.url.as_str()].into_iter().chain(pairs.map(|pair| pair.value.as_str())).chain(self.body.text.as_deref())
    }

    pub(crate) fn scripts(&self) -> [&str; 2] {
        [&self.pre_request_script, &self.after_response_script]
    }
}
