//! Lines for the user. A reader such as `head` may go away early, which must not bring down what we supervise.

use std::io::{self, Write};

/// What the user asked for, and how far it is.
pub(crate) fn out(line: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// What went wrong, and what the supervisor does about it.
pub(crate) fn err(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
