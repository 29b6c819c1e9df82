//! Which database a task works on.

use anyhow::{Context, Result};

use crate::paths::StackDir;
use crate::state;

/// That of a running stack, or any other.
#[derive(clap::Args)]
pub(crate) struct AnyDatabase {
    #[command(flatten)]
    dir: StackDir,
    /// In this database, as a superuser, instead of that of a running stack
    #[arg(long, value_name = "URL", conflicts_with = "dir")]
    database_url: Option<String>,
}

impl AnyDatabase {
    /// How its superuser reaches it.
    pub(crate) fn url(&self) -> Result<String> {
        if let Some(url) = &self.database_url {
            return Ok(url.clone());
        }
        let dir = self.dir.open()?;
        Ok(state::running(&dir)?.with_context(|| format!("nothing runs in {}", dir.display()))?.postgres)
    }
}
