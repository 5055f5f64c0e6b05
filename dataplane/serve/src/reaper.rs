//! Frees views that no worker reads any more, away from the threads that answer and adopt: a view of a million names takes a tenth of a second.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use geodns_engine::view::View;

use crate::sys;

/// Between two looks at what is still held. A worker lets go of a view at its next batch, or when it has waited for one.
const LOOK: Duration = Duration::from_millis(200);

/// Whoever retires views.
#[derive(Debug, Clone)]
pub struct Reaper {
    retired: Sender<Arc<View>>,
}

impl Reaper {
    /// Starts the thread; it ends when the last `Reaper` is gone.
    ///
    /// # Errors
    /// The kernel's, when there can be no thread.
    pub fn start() -> std::io::Result<(Self, JoinHandle<()>)> {
        let (retired, receiver) = channel();
        let thread = thread::Builder::new().name("reaper".into()).spawn(move || run(&receiver))?;
        Ok((Self { retired }, thread))
    }

    /// Takes a view that is no longer in force. The reaper's reference is dropped last, so that no worker ever frees one.
    pub fn retire(&self, view: Arc<View>) {
        // When the reaper is gone the process ends, and memory with it.
        let _ = self.retired.send(view);
    }
}

fn run(retired: &Receiver<Arc<View>>) {
    let _ = sys::lower_priority();
    let mut held: Vec<Arc<View>> = Vec::new();
    loop {
        let next = if held.is_empty() { retired.recv().map_err(|_| RecvTimeoutError::Disconnected) } else { retired.recv_timeout(LOOK) };
        match next {
            Ok(view) => held.push(view),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        held.retain(|view| Arc::strong_count(view) > 1);
    }
}
