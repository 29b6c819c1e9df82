//! Holds what a service answers against the document of its API: whatever a test asks, the answer has to be a described
//! one.

use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, Uri};
use serde_json::{Map, Value};

/// The document of an API.
pub struct Contract {
    document: Value,
}

impl Contract {
    /// What this document promises.
    pub fn new(document: Value) -> Self {
        Self { document }
    }

    /// Asserts that the document has this answer, unless it does not have the route.
    #[track_caller]
    pub fn assert_kept(&self, method: &Method, path: &str, status: u16, headers: &HeaderMap, body: &str) {
        let Some((place, operation)) = self.operation(method, path) else { return };
        let request = format!("{method} {path}");
        if status < 400 {
            self.assert_query(&request, &place, operation, path);
        }
        let described = operation["responses"].get(status.to_string());
        let described = described.unwrap_or_else(|| panic!("{request}: {status} is not documented: {body}"));
        let (place, response) = match described["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
            Some(place) => (place.to_owned(), self.document.pointer(place).unwrap_or(&Value::Null)),
            None => (format!("{place}/responses/{status}"), described),
        };
        self.assert_headers(&request, response, headers);
        let Some(content) = response.get("content") else {
            assert_eq!(body, "", "{request}: {status} is documented without a body");
            return;
        };
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(content.get(media_type).is_some(), "{request}: {status} is not documented as {media_type:?}");
        let json = serde_json::from_str(body).unwrap_or_else(|problem| panic!("{request}: {problem}: {body}"));
        let schema = format!("{place}/content/{}/schema", escaped(media_type));
        self.assert_valid(&format!("{request}: {status}"), &schema, &json);
    }

    /// Asserts that every example has its schema; answers how many there are.
    pub fn assert_examples(&self) -> usize {
        let mut examples = Vec::new();
        collect_examples("", &self.document, &mut examples);
        for (schema, example) in &examples {
            self.assert_valid(schema, schema, example);
        }
        examples.len()
    }

    /// The examples of the body that an operation takes.
    #[track_caller]
    pub fn bodies(&self, method: &Method, path: &str) -> Vec<(&str, &Value)> {
        let (_, operation) =
            self.operation(method, path).unwrap_or_else(|| panic!("{method} {path} is not documented"));
        let examples = operation["requestBody"]["content"]["application/json"]["examples"].as_object();
        examples.into_iter().flatten().map(|(name, example)| (name.as_str(), &example["value"])).collect()
    }

    /// Where the operation is, and what is said of it.
    fn operation(&self, method: &Method, path: &str) -> Option<(String, &Value)> {
        let path = path.split('?').next().unwrap_or_default();
        let paths = self.document["paths"].as_object()?;
        let (template, item) = paths.iter().find(|(template, _)| is_of(template, path))?;
        let method = method.as_str().to_ascii_lowercase();
        Some((format!("/paths/{}/{method}", escaped(template)), item.get(&method)?))
    }

    /// Asserts that a query with which all went well is one that the document allows.
    fn assert_query(&self, request: &str, place: &str, operation: &Value, path: &str) {
        let uri: Uri = path.parse().expect("a path");
        let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(&uri).expect("a query");
        for (name, value) in query {
            let parameters = operation["parameters"].as_array().into_iter().flatten().enumerate();
            let mut same = parameters.filter(|(_, parameter)| parameter["name"] == name.as_str());
            let (index, parameter) = same.next().unwrap_or_else(|| panic!("{request}: {name} is not documented"));
            let is_number = parameter["schema"]["type"] == "integer";
            let value = if is_number { serde_json::from_str(&value).expect("a number") } else { Value::from(value) };
            self.assert_valid(&format!("{request}: {name}"), &format!("{place}/parameters/{index}/schema"), &value);
        }
    }

    fn assert_headers(&self, request: &str, response: &Value, headers: &HeaderMap) {
        let described = response["headers"].as_object();
        for (name, header) in self.document["components"]["headers"].as_object().into_iter().flatten() {
            let is_described = described.is_some_and(|described| described.contains_key(name));
            match headers.get(name).and_then(|value| value.to_str().ok()) {
                Some(value) => {
                    assert!(is_described, "{request}: the header {name} is not documented");
                    let schema = format!("/components/headers/{name}/schema");
                    self.assert_valid(&format!("{request}: {name}"), &schema, &value.into());
                }
                None => {
                    assert!(!is_described || header["required"] == false, "{request}: the header {name} is missing");
                }
            }
        }
    }

    /// Asserts that `json` has a schema of the document, given by its JSON pointer.
    #[track_caller]
    pub fn assert_valid(&self, what: &str, schema: &str, json: &Value) {
        let mut root = Map::from_iter([("$ref".to_owned(), format!("#{schema}").into())]);
        // References are resolved in the document, whose members mean nothing to a schema.
        root.extend(self.document.as_object().cloned().unwrap_or_default());
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&root.into());
        let validator = validator.unwrap_or_else(|problem| panic!("{what}: {schema} is no schema: {problem}"));
        let wrong: Vec<_> =
            validator.iter_errors(json).map(|problem| format!("{}: {problem}", problem.instance_path())).collect();
        assert!(wrong.is_empty(), "{what} is not as documented: {}\n{json:#}", wrong.join("; "));
    }
}

/// Whether the path is one of those that the template stands for.
fn is_of(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template.zip(path).all(|(expected, segment)| expected.starts_with('{') || expected == segment)
}

/// A member's name in a JSON pointer within a URI.
fn escaped(name: &str) -> String {
    let name = name.replace('~', "~0").replace('/', "~1");
    name.replace('{', "%7B").replace('}', "%7D").replace('+', "%2B")
}

/// Every example with the pointer of the schema beside it.
fn collect_examples(place: &str, value: &Value, examples: &mut Vec<(String, Value)>) {
    if let Some(example) = value.get("example") {
        examples.push((format!("{place}/schema"), example.clone()));
    }
    match value.get("examples") {
        Some(Value::Object(named)) => {
            examples.extend(named.values().map(|example| (format!("{place}/schema"), example["value"].clone())));
        }
        // Of the schema itself.
        Some(Value::Array(values)) => examples.extend(values.iter().map(|example| (place.to_owned(), example.clone()))),
        _ => {}
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        collect_examples(&format!("{place}/{}", escaped(name)), member, examples);
    }
}
