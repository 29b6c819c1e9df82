//! The clocks of the services, which `libfaketime` lets go wrong while they run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::install;

/// A file for each service says how wrong its clock is.
pub(crate) struct Clocks {
    library: PathBuf,
    dir: PathBuf,
    services: Vec<String>,
}

impl Clocks {
    /// None if the library is neither here nor can be installed.
    pub(crate) fn find(dir: &Path, services: &[String]) -> Result<Option<Self>> {
        let Some(library) = install::clock_shifter() else { return Ok(None) };
        let clocks = Self { library, dir: dir.to_owned(), services: services.to_vec() };
        clocks.set_right()?;
        Ok(Some(clocks))
    }

    pub(crate) fn set_right(&self) -> Result<()> {
        self.services.iter().try_for_each(|service| self.shift(service, 0))
    }

    /// The file is replaced as a whole: half of a number would be another time.
    pub(crate) fn shift(&self, service: &str, seconds: i64) -> Result<()> {
        let next = self.dir.join(format!("{service}.next"));
        fs::write(&next, format!("{seconds:+}\n"))?;
        Ok(fs::rename(next, self.file(service))?)
    }

    /// What the services have to be started with.
    pub(crate) fn variables(&self) -> BTreeMap<String, Vec<(String, String)>> {
        let variables = |service: &String| {
            let text = |path: &Path| path.display().to_string();
            [
                ("LD_PRELOAD", text(&self.library)),
                ("FAKETIME_TIMESTAMP_FILE", text(&self.file(service))),
                ("FAKETIME_CACHE_DURATION", "1".to_owned()),
                // Time-outs are measured with another clock, which nobody can set.
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec()
        };
        self.services.iter().map(|service| (service.clone(), variables(service))).collect()
    }

    fn file(&self, service: &str) -> PathBuf {
        self.dir.join(format!("{service}.clock"))
    }
}
