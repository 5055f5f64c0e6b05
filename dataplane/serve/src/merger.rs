//! Makes the merged maps of rules on a thread of its own: with a city database and many rule sets they take seconds, and a verdict of health must not wait for them.
//! What is merged, and whether the result is still wanted, is the engine's business.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use geodns_engine::steer::{MergeJob, Merged};
use mio::Waker;

use crate::{log, sys};

/// Whoever wants maps made. One job at a time: what is wanted next may be another after the next change.
#[derive(Debug)]
pub struct Merger {
    jobs: Sender<MergeJob>,
    news: Receiver<Merged>,
    is_busy: bool,
}

impl Merger {
    /// Starts the thread, which rings `wake` after each job; it ends with the `Merger`.
    ///
    /// # Errors
    /// The kernel's, when there can be no thread.
    pub fn start(wake: Arc<Waker>) -> io::Result<Self> {
        let (jobs, todo) = channel();
        let (tell, news) = channel();
        thread::Builder::new().name("merger".into()).spawn(move || run(&todo, &tell, &wake))?;
        Ok(Self { jobs, news, is_busy: false })
    }

    /// Whether a job is under way, so that the next one has to wait.
    pub const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Begins a job.
    pub fn begin(&mut self, job: MergeJob) {
        self.is_busy = self.jobs.send(job).is_ok();
    }

    /// What came of the job, once it is done.
    pub fn take(&mut self) -> Option<Merged> {
        let done = self.news.try_recv().ok()?;
        self.is_busy = false;
        Some(done)
    }
}

fn run(jobs: &Receiver<MergeJob>, tell: &Sender<Merged>, wake: &Waker) {
    let _ = sys::lower_priority();
    while let Ok(job) = jobs.recv() {
        let done = catch_unwind(AssertUnwindSafe(|| job.run())).unwrap_or_else(|_| {
            log::error("merging rules with lists and locations made the program panic: they are asked one by one", &[]);
            job.give_up()
        });
        // The job holds locations that may have been replaced meanwhile.
        drop(job);
        let _ = tell.send(done);
        let _ = wake.wake();
    }
}
