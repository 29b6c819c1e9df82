//! Insomnia's templates, as far as the collection uses them: `{{ _.variable }}` and `{% uuid 'v4' %}`.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use uuid::Uuid;

use crate::export::Variables;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Text(&'a str),
    Variable(&'a str),
    RandomUuid,
}

pub(crate) fn render(template: &str, variables: &Variables) -> Result<String> {
    parse(template)?
        .into_iter()
        .map(|part| match part {
            Part::Text(text) => Ok(text.to_owned()),
            Part::RandomUuid => Ok(Uuid::new_v4().to_string()),
            Part::Variable(name) => match variables.get(name) {
                None => bail!("the variable {name} is not defined"),
                Some(Value::String(text)) => Ok(text.clone()),
                Some(other) => Ok(other.to_string()),
            },
        })
        .collect()
}

pub(crate) fn parse(template: &str) -> Result<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let (text, tag) = rest.split_at(start);
        parts.push(Part::Text(text));
        let (opening, tag) = tag.split_at(2);
        let closing = if opening == "{{" { "}}" } else { "%}" };
        let (inside, after) =
            tag.split_once(closing).with_context(|| format!("{opening} is not closed: {template}"))?;
        parts.push(match (opening, inside.trim()) {
            ("{%", "uuid 'v4'") => Part::RandomUuid,
            ("{{", variable) if variable.starts_with("_.") => Part::Variable(&variable[2..]),
            (_, other) => bail!("{opening} {other} {closing} is not supported here"),
        });
        rest = after;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

#[test]
fn variables_and_uuids_are_rendered() -> Result<()> {
    let variables: Variables = serde_json::from_str(r#"{"host": "here", "id": 7}"#)?;
    assert_eq!(render("{{ _.host }}/{{_.id}}?{\"a\": {}}", &variables)?, "here/7?{\"a\": {}}");
    assert_eq!(render("/{% uuid 'v4' %}", &variables)?.len(), 37);
    Ok(())
}

#[test]
fn what_cannot_be_rendered_is_an_error() {
    for template in ["{{ _.port }}", "{{ host }}", "{{ _.host", "{% now %}"] {
        assert!(render(template, &Variables::new()).is_err(), "{template}");
    }
}
