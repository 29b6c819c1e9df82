//! Named points at which a test has a process die as it would of a power cut: nothing is finished, nothing is said.
//!
//! They are there only with the feature `crash-points`, which no release is built with. A test arms a point by making a
//! file of its name in the folder that the process was told of at its start. The file is gone before the process is,
//! so that its next life goes on. `system-tests/tests/black_box/crash_points.rs` lists all points and strikes each.

#[cfg(all(feature = "crash-points", not(debug_assertions)))]
compile_error!("a release has no crash points");

#[cfg(feature = "crash-points")]
pub use armed::{crash_point, watch};

/// Goes on.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn crash_point(_name: &str) {}

#[cfg(feature = "crash-points")]
mod armed {
    use std::path::PathBuf;
    use std::sync::OnceLock;
    use std::{fs, process};

    use tracing::error;

    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();

    /// From now on, points are armed by the files of `folder`; below the process's own folder if it is relative.
    pub fn watch(folder: Option<PathBuf>) {
        // Told twice, the first stays.
        drop(FOLDER.set(folder));
    }

    /// Ends the process if this point is armed. Whoever removes the file dies of it, and nobody else.
    pub fn crash_point(name: &str) {
        let folder = FOLDER.get().and_then(Option::as_ref);
        if folder.is_some_and(|folder| fs::remove_file(folder.join(name)).is_ok()) {
            error!(name, "this is a crash point");
            process::abort();
        }
    }
}
