//! The contract between the services: what they say to each other and under which names.
//!
//! Pure data: nothing here does I/O. A field is only ever added; a consumer ignores what it does not know; a change
//! that breaks a reader is a new event with a new name.

pub mod envelope;
pub mod events;
pub mod ids;
pub mod money;
pub mod receipt;
pub mod topology;
