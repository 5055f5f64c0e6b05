//! What is said when a thread panics: one line in the log, instead of a backtrace for each packet that somebody may repeat at will.

use std::panic;
use std::thread;

use crate::log;

/// From now on panics are log lines.
pub fn report_in_log() {
    panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let message = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let thread = thread::current();
        log::error(
            "a thread panicked; this is a defect",
            &[("thread", &thread.name().unwrap_or("main")), ("place", &place), ("reason", &message.unwrap_or("unknown"))],
        );
    }));
}
