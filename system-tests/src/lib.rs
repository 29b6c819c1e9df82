//! The running system as a black box.
