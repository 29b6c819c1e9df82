//! Signals as values: blocked for the whole process and read by one thread, so that nothing is stopped halfway.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use anyhow::Result;
use nix::sys::signal::{SigSet, Signal};

/// Given to `env` in front of every program we start, since a blocked signal stays blocked across exec.
pub(crate) const UNBLOCK: &str = "--default-signal=INT,TERM,HUP,CHLD";

/// All of them from now on, as [`forward`].
pub(crate) fn receive() -> Result<Receiver<Signal>> {
    let (sender, signals) = mpsc::channel();
    forward(sender, |signal| signal)?;
    Ok(signals)
}

/// Forwards INT, TERM, HUP and CHLD from now on. Call it before any other thread is started: threads inherit the mask.
pub(crate) fn forward<T: Send + 'static>(to: Sender<T>, wrap: fn(Signal) -> T) -> Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD].into_iter().collect();
    signals.thread_block()?;
    thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            if to.send(wrap(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}
