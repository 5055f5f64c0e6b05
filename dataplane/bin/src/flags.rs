//! The flags. There are few and control writes them, so a parser without derive machinery (lexopt, one file) is enough, and the help is written by
//! hand.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

use geodns_serve::{Ownership, Settings};
use lexopt::prelude::*;

/// Of the program; the wheel has the same.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// More workers than this are a mistake: each has its own socket for each address.
const MAX_WORKERS: usize = 1024;

pub const HELP: &str = "\
Answers DNS queries from its own state on disk, and follows the control plane over a unix socket.
Usually `geodns serve` starts it; `geodns dataplane` runs it alone.

Usage: geodns-dataplane --listen ADDR:PORT --state DIR [options]
       geodns-dataplane simulate --state DIR

  --listen ADDR:PORT       answer here over UDP and TCP; may be given several times
  --state DIR              where the state is kept; made if need be
  --socket PATH            where control connects (default: DIR/dataplane.sock)
  --workers N              UDP workers (default: one per core)
  --cpu-affinity           keep each worker on its own core
  --user NAME              become this user once the sockets are open, and keep only CAP_NET_BIND_SERVICE
  --supervised             control runs this process and may replace it; without, it stands alone
  --settings-digest HEX    64 hex digits that control recognises its settings by
  --version                print the version
  --help                   print this

Examples:
  geodns-dataplane --listen 127.0.0.1:5300 --state var/dataplane
  geodns-dataplane --listen 0.0.0.0:53 --listen '[::]:53' --state /var/lib/geodns/dataplane --user geodns

`simulate` reads one order from standard input, writes one JSON document and changes nothing; `geodns simulate` asks it.

SIGTERM ends it. Exit codes: 0 ended when told to, 1 cannot run (one sentence on standard error), 2 wrong usage.
";

/// What is asked.
#[derive(Debug)]
pub enum Command {
    Serve(Box<Settings>),
    /// With the state directory of the process that serves.
    Simulate(PathBuf),
    Help,
    Version,
}

/// Reads the arguments, program name first.
///
/// # Errors
/// One sentence about the first flag that is wrong.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut parser = lexopt::Parser::from_iter(arguments);
    let mut listen = Vec::new();
    let mut workers = None;
    let mut state: Option<PathBuf> = None;
    let mut socket = None;
    let mut settings_digest = [0; 32];
    let mut user = None;
    let mut ownership = Ownership::Standalone;
    let mut cpu_affinity = false;
    let mut is_simulation = false;
    let say = |error: lexopt::Error| error.to_string();
    while let Some(argument) = parser.next().map_err(say)? {
        match argument {
            Long("listen") => listen.push(address(&parser.value().map_err(say)?)?),
            Long("workers") => workers = Some(worker_count(&parser.value().map_err(say)?)?),
            Long("state") => state = Some(parser.value().map_err(say)?.into()),
            Long("socket") => socket = Some(parser.value().map_err(say)?.into()),
            Long("settings-digest") => settings_digest = digest(&parser.value().map_err(say)?)?,
            Long("user") => user = Some(text(&parser.value().map_err(say)?, "--user")?),
            Long("supervised") => ownership = Ownership::Supervised,
            Long("cpu-affinity") => cpu_affinity = true,
            Value(word) if word == "simulate" && !is_simulation => is_simulation = true,
            Long("version") | Short('V') => return Ok(Command::Version),
            Long("help") | Short('h') => return Ok(Command::Help),
            other => return Err(say(other.unexpected())),
        }
    }
    let state = state.ok_or("--state is missing")?;
    if is_simulation {
        return Ok(Command::Simulate(state));
    }
    if listen.is_empty() {
        return Err("--listen is missing".into());
    }
    Ok(Command::Serve(Box::new(Settings {
        listen,
        workers: workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, Into::into)),
        socket: socket.unwrap_or_else(|| state.join("dataplane.sock")),
        state,
        settings_digest,
        user,
        ownership,
        cpu_affinity,
        version: VERSION,
    })))
}

fn text(value: &OsString, flag: &str) -> Result<String, String> {
    value.to_str().map(str::to_owned).ok_or_else(|| format!("{flag} is not UTF-8"))
}

fn address(value: &OsString) -> Result<SocketAddr, String> {
    let value = text(value, "--listen")?;
    value.parse().map_err(|_| format!("--listen {value} is not an address with a port, such as 192.0.2.1:53 or [2001:db8::1]:53"))
}

fn worker_count(value: &OsString) -> Result<usize, String> {
    let value = text(value, "--workers")?;
    let count = value.parse().ok().filter(|count| (1..=MAX_WORKERS).contains(count));
    count.ok_or_else(|| format!("--workers {value} is not a number within 1 and {MAX_WORKERS}"))
}

fn digest(value: &OsString) -> Result<[u8; 32], String> {
    let value = text(value, "--settings-digest")?;
    let wrong = || format!("--settings-digest {value} is not of 64 hex digits");
    if value.len() != 64 || !value.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut digest = [0; 32];
    for (index, octet) in digest.iter_mut().enumerate() {
        *octet = u8::from_str_radix(&value[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_words(words: &str) -> Result<Command, String> {
        read(std::iter::once("geodns-dataplane").chain(words.split_whitespace()).map(Into::into))
    }

    #[test]
    fn every_flag_is_taken() {
        let digest = "0f".repeat(32);
        let words = format!(
            "--listen 192.0.2.1:53 --listen [::]:5300 --workers 3 --state /s --socket /r/s --settings-digest {digest} --user geodns --supervised --cpu-affinity"
        );
        let Ok(Command::Serve(settings)) = read_words(&words) else { panic!("these are right") };
        assert_eq!(settings.listen, ["192.0.2.1:53".parse().unwrap(), "[::]:5300".parse().unwrap()]);
        assert_eq!((settings.workers, settings.cpu_affinity, settings.ownership), (3, true, Ownership::Supervised));
        assert_eq!((settings.state, settings.socket), ("/s".into(), "/r/s".into()));
        assert_eq!((settings.settings_digest, settings.user.as_deref()), ([0x0f; 32], Some("geodns")));
    }

    #[test]
    fn a_simulation_needs_the_state_alone() {
        let Ok(Command::Simulate(state)) = read_words("simulate --state /s") else { panic!("these are right") };
        assert_eq!(state, PathBuf::from("/s"));
    }

    #[test]
    fn the_rest_has_defaults() {
        let Ok(Command::Serve(settings)) = read_words("--listen=127.0.0.1:5300 --state=/s") else { panic!("these are right") };
        assert_eq!(settings.socket, PathBuf::from("/s/dataplane.sock"));
        assert!(settings.workers >= 1);
        assert_eq!(settings.ownership, Ownership::Standalone);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (words, named) in [
            ("", "--state"),
            ("--state /s", "--listen"),
            ("--state /s --listen localhost:53", "localhost:53"),
            ("--state /s --listen 192.0.2.1", "192.0.2.1"),
            ("--state /s --listen 192.0.2.1:53 --workers 0", "--workers"),
            ("--state /s --listen 192.0.2.1:53 --workers many", "many"),
            ("--state /s --listen 192.0.2.1:53 --settings-digest ff", "--settings-digest"),
            ("--state /s --listen 192.0.2.1:53 --lisen 1", "--lisen"),
            ("--state", "--state"),
            ("stray", "stray"),
            ("simulate", "--state"),
            ("simulate simulate --state /s", "simulate"),
        ] {
            let sentence = read_words(words).unwrap_err();
            assert!(sentence.contains(named), "{words}: {sentence}");
        }
    }
}
