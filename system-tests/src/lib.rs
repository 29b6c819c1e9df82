//! The tests of the running system are in `tests/`: this library is empty.
