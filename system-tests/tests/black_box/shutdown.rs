//! A service that is told to stop.

/// Where one dies that is told to stop.
pub const CRASH_POINT: &str = "connections closed, not stopped";
