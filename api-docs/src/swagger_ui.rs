//! The browser for the document, out of the archive that a crate brings along.

use std::io::{Cursor, Read};

use anyhow::{Context, Result};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

/// What of the archive is served, and its licence.
const FILES: [&str; 5] =
    ["LICENSE", "NOTICE", "dist/favicon-32x32.png", "dist/swagger-ui.css", "dist/swagger-ui-bundle.js"];

/// The files, each with its name.
pub fn files() -> Result<Vec<(String, Vec<u8>)>> {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED)).context("the archive cannot be opened")?;
    let names = archive.file_names().map(|name| Ok(name?.into_owned())).collect::<Result<Vec<String>>>()?;
    let mut files = Vec::new();
    for file in FILES {
        // Everything is in one folder, which is named after the version.
        let name = names.iter().find(|name| name.split_once('/').is_some_and(|(_, rest)| rest == file));
        let name = name.with_context(|| format!("the archive has no {file}"))?;
        let mut content = Vec::new();
        archive.by_name(name)?.read_to_end(&mut content)?;
        let base = file.rsplit('/').next().unwrap_or(file);
        files.push((base.to_owned(), content));
    }
    Ok(files)
}
