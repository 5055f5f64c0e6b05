//! The `geodns-dataplane` program: reads its flags and runs the server until it is told to stop.
//!
//! SIGTERM ends it. SIGINT does not while control supervises it: Ctrl-C goes to the whole process group, and control ends its dataplane last. SIGHUP
//! means nothing here and is ignored, as is SIGPIPE (by Rust's runtime).

mod flags;

use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;

use flags::{Command, HELP};
use geodns_serve::{LONGEST_END, Ownership, Server, Settings};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Exit codes as the whole product has them: 1 refused, 2 usage.
const REFUSED: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    match flags::read(std::env::args_os()) {
        Ok(Command::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Command::Version) => {
            println!("geodns-dataplane {}", flags::VERSION);
            ExitCode::SUCCESS
        }
        Ok(Command::Simulate(state)) => match geodns_serve::simulate::simulate(&state) {
            Ok(document) => {
                println!("{document}");
                ExitCode::SUCCESS
            }
            Err(sentence) => complain(&sentence, REFUSED),
        },
        Ok(Command::Serve(settings)) => serve(&settings).map_or_else(|sentence| complain(&sentence, REFUSED), |()| ExitCode::SUCCESS),
        Err(sentence) => complain(&format!("{sentence} (see --help)"), USAGE),
    }
}

fn complain(sentence: &str, code: u8) -> ExitCode {
    eprintln!("geodns-dataplane: {sentence}");
    ExitCode::from(code)
}

fn serve(settings: &Settings) -> Result<(), String> {
    // Before anything else, so that no signal falls into a gap.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(|error| format!("signals cannot be received: {error}"))?;
    let server = Server::start(settings)?;
    // A unit of `Type=notify` counts as started only now, so that control, ordered after it, attaches and does not start another.
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        eprintln!("geodns-dataplane: the service manager could not be told of the start: {error}");
    }
    for signal in signals.forever() {
        match signal {
            SIGTERM => break,
            // Alone on a terminal, Ctrl-C is meant for it.
            SIGINT if settings.ownership == Ownership::Standalone => break,
            _ => {}
        }
    }
    end(server);
    Ok(())
}

/// A thread that hangs must not keep a process alive that was told to end.
fn end(server: Server) {
    let (done, ended) = channel();
    thread::spawn(move || {
        server.stop();
        let _ = done.send(());
    });
    let _ = ended.recv_timeout(LONGEST_END);
}
