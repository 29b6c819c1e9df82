//! The file itself: that Insomnia can import it, that it leaves nothing out, and that a reader finds his way.

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};

use crate::export::{Export, Kind, Resource, Variables};
use crate::template::{Part, parse};

/// The API, with `*` for what varies.
const ROUTES: [(&str, &str); 8] = [
    ("POST", "/orders"),
    ("GET", "/orders"),
    ("GET", "/orders/*"),
    ("DELETE", "/orders/*"),
    ("GET", "/orders/*/events"),
    ("GET", "/payments"),
    ("GET", "/payments/*"),
    ("POST", "/payments/pay/*"),
];

#[test]
fn it_is_an_export_of_version_4_with_one_workspace() -> Result<()> {
    let export = Export::of_this_repository()?;
    assert_eq!((export.kind.as_str(), export.format), ("export", 4));
    let workspaces: Vec<&Resource> =
        export.resources.iter().filter(|resource| matches!(resource.kind, Kind::Workspace)).collect();
    assert_eq!(workspaces.len(), 1);
    assert_eq!(workspaces[0].name, "Order processing system");
    assert_eq!(workspaces[0].parent_id, None);
    Ok(())
}

#[test]
fn ids_are_unique_and_say_what_they_name() -> Result<()> {
    let export = Export::of_this_repository()?;
    let mut ids = HashSet::new();
    for Resource { id, kind, .. } in &export.resources {
        assert!(ids.insert(id), "{id} is there twice");
        let prefix = match kind {
            Kind::Workspace => "wrk_",
            Kind::Environment { .. } => "env_",
            Kind::CookieJar => "jar_",
            Kind::RequestGroup => "fld_",
            Kind::Request(_) => "req_",
        };
        assert!(id.starts_with(prefix), "{id} should begin with {prefix}");
    }
    Ok(())
}

#[test]
fn requests_are_in_folders_and_folders_in_the_workspace() -> Result<()> {
    let export = Export::of_this_repository()?;
    for resource in &export.resources {
        let parent = export.parent(resource).map(|parent| &parent.kind);
        let is_placed = match resource.kind {
            Kind::Workspace => parent.is_none(),
            Kind::RequestGroup | Kind::CookieJar => matches!(parent, Some(Kind::Workspace)),
            Kind::Environment { .. } => matches!(parent, Some(Kind::Workspace | Kind::Environment { .. })),
            Kind::Request(_) => matches!(parent, Some(Kind::RequestGroup)),
        };
        assert!(is_placed, "{} has the wrong parent", resource.id);
    }
    Ok(())
}

/// Some versions of Insomnia's command line run a collection in one order, some in the other.
#[test]
fn the_order_of_the_file_is_the_order_of_the_sort_keys() -> Result<()> {
    let export = Export::of_this_repository()?;
    let listed =
        export.resources.iter().filter(|resource| matches!(resource.kind, Kind::RequestGroup | Kind::Request(_)));
    let listed: Vec<&Resource> = listed.collect();
    for pair in listed.windows(2) {
        assert!(pair[0].meta_sort_key < pair[1].meta_sort_key, "{} is not after {}", pair[1].id, pair[0].id);
    }
    let mut folder = None;
    for resource in listed {
        match resource.kind {
            Kind::RequestGroup => folder = Some(&resource.id),
            _ => assert_eq!(resource.parent_id.as_ref(), folder, "{} is away from its folder", resource.id),
        }
    }
    Ok(())
}

#[test]
fn everything_has_a_name_of_its_own_and_a_description() -> Result<()> {
    let export = Export::of_this_repository()?;
    let mut names = HashSet::new();
    for Resource { id, name, description, kind, .. } in &export.resources {
        assert!(names.insert(name), "{name} is there twice");
        let is_described = matches!(kind, Kind::Environment { .. } | Kind::CookieJar) || !description.is_empty();
        assert!(is_described, "{id} has no description");
    }
    Ok(())
}

#[test]
fn every_request_asserts_something() -> Result<()> {
    for (_, resource, request) in Export::of_this_repository()?.requests() {
        assert!(request.after_response_script.contains("insomnia.test("), "{}", resource.name);
    }
    Ok(())
}

#[test]
fn every_route_of_the_api_appears() -> Result<()> {
    let export = Export::of_this_repository()?;
    let mut called = HashSet::new();
    for (_, _, request) in export.requests() {
        called.insert((request.method.clone(), pattern(&request.url)?));
    }
    for (method, path) in ROUTES {
        assert!(called.contains(&(method.to_owned(), path.to_owned())), "{method} {path} is missing");
    }
    Ok(())
}

#[test]
fn every_variable_is_defined() -> Result<()> {
    let export = Export::of_this_repository()?;
    let variables = export.variables();
    for (_, resource, request) in export.requests() {
        for template in request.templates() {
            for part in parse(template)? {
                if let Part::Variable(name) = part {
                    ensure_defined(&variables, name).with_context(|| resource.name.clone())?;
                }
            }
        }
        for script in request.scripts() {
            for name in
                arguments(script, "insomnia.environment.get('").chain(arguments(script, "insomnia.environment.set('"))
            {
                ensure_defined(&variables, name).with_context(|| resource.name.clone())?;
            }
        }
    }
    Ok(())
}

#[test]
fn it_fits_the_system_as_it_starts_by_default() -> Result<()> {
    let variables = Export::of_this_repository()?.variables();
    assert_eq!(variables["baseUrl"], "http://localhost:8000/api");
    assert_eq!(variables["token"], "thisisajwttoken");
    Ok(())
}

fn ensure_defined(variables: &Variables, name: &str) -> Result<()> {
    ensure!(variables.contains_key(name), "the environment does not define {name}");
    Ok(())
}

/// What follows each `call` up to the quote.
fn arguments<'a>(script: &'a str, call: &str) -> impl Iterator<Item = &'a str> {
    script.split(call).skip(1).filter_map(|rest| rest.split('\'').next())
}

/// The path below the base address, with `*` for every segment that is not fixed.
fn pattern(url: &str) -> Result<String> {
    let parts = parse(url)?;
    let parts = parts.iter().filter(|part| **part != Part::Variable("baseUrl"));
    Ok(parts.map(|part| if let Part::Text(text) = part { text } else { "*" }).collect())
}
