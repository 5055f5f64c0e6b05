//! Starting the program, and files that vanish with the test.

use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::control::Control;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until `claim` holds.
pub fn wait_until(what: &str, mut claim: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !claim() {
        assert!(Instant::now() < end, "waited too long until {what}");
        thread::sleep(LOOK);
    }
}

/// A directory of this test's own.
#[derive(Debug)]
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("geodns-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        // An earlier process of this number may have been killed.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        let _ = fs::remove_file(self.0.with_extension("log"));
    }
}

/// Ports below those that the kernel hands to clients: none of them takes one away between two starts of a server.
const PORTS: std::ops::Range<u32> = 12_000..32_000;

/// A port that is free on `addr` for UDP and TCP, another one for each caller, so that tests that run at once do not meet.
pub fn free_port(addr: IpAddr) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Two runs on one machine start at different places.
    let first = std::process::id().wrapping_mul(251);
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + number % (PORTS.end - PORTS.start)).unwrap();
        if UdpSocket::bind((addr, port)).is_ok() && TcpListener::bind((addr, port)).is_ok() {
            return port;
        }
    }
}

/// How to start the program.
#[derive(Debug, Clone)]
pub struct Flags {
    pub listen: Vec<SocketAddr>,
    pub state: PathBuf,
    pub more: Vec<String>,
    /// Shell commands that come first, to set limits that a process inherits.
    pub limits: Option<&'static str>,
}

impl Flags {
    /// On free ports of the loopback addresses of both families.
    pub fn on_loopback(state: &Path) -> Self {
        let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
        let listen = [v4, v6].map(|addr| SocketAddr::new(addr, free_port(addr))).to_vec();
        Self { listen, state: state.to_owned(), more: vec!["--workers".into(), "2".into(), "--supervised".into()], limits: None }
    }

    pub fn with(mut self, flags: &[&str]) -> Self {
        self.more.extend(flags.iter().map(ToString::to_string));
        self
    }

    pub fn socket(&self) -> PathBuf {
        self.state.join("dataplane.sock")
    }

    pub fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_geodns-dataplane");
        let mut command = if let Some(limits) = self.limits {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("{limits}; exec \"$0\" \"$@\"")).arg(program);
            shell
        } else {
            Command::new(program)
        };
        for addr in &self.listen {
            command.arg("--listen").arg(addr.to_string());
        }
        command.arg("--state").arg(&self.state).args(&self.more).stdin(Stdio::null());
        command
    }

    /// Runs it to its end, which must come soon: code and standard error.
    pub fn run_to_end(&self) -> (Option<i32>, String) {
        let mut child = self.command().stderr(Stdio::piped()).spawn().unwrap();
        wait_until("the program ends", || child.try_wait().unwrap().is_some());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (child.wait().unwrap().code(), said)
    }
}

/// Connections are taken a little earlier than queries; HELLO is said when everything runs.
fn says_hello(socket: &Path) -> bool {
    UnixStream::connect(socket).and_then(|mut stream| stream.read_exact(&mut [0])).is_ok()
}

/// A running program; killed when the test ends.
#[derive(Debug)]
pub struct Dataplane {
    child: Child,
    pub flags: Flags,
}

impl Dataplane {
    /// Started, and answering on its socket. A port that was free can have become some client's meanwhile; then there are others.
    pub fn start(flags: &Flags) -> Self {
        let mut flags = flags.clone();
        loop {
            if let Some(plane) = Self::try_start(&flags) {
                return plane;
            }
            for addr in &mut flags.listen {
                addr.set_port(free_port(addr.ip()));
            }
        }
    }

    /// `None` when a port is taken.
    fn try_start(flags: &Flags) -> Option<Self> {
        let log = fs::OpenOptions::new().create(true).append(true).open(flags.state.with_extension("log")).unwrap();
        let child = flags.command().stderr(log).spawn().unwrap();
        let mut plane = Self { child, flags: flags.clone() };
        wait_until("the program ends or says HELLO", || plane.child.try_wait().unwrap().is_some() || says_hello(&plane.flags.socket()));
        if plane.is_running() {
            return Some(plane);
        }
        let said = plane.said();
        assert!(said.lines().last().is_some_and(|line| line.contains("in use by another program")), "the program has ended: {said}");
        None
    }

    pub fn v4(&self) -> SocketAddr {
        self.flags.listen[0]
    }

    pub fn v6(&self) -> SocketAddr {
        self.flags.listen[1]
    }

    /// What it has written to standard error so far.
    pub fn said(&self) -> String {
        fs::read_to_string(self.flags.state.with_extension("log")).unwrap_or_default()
    }

    pub fn publisher(&self) -> Control {
        Control::publisher(&self.flags.socket())
    }

    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: no pointers; the pid is that of a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait_until("the program ends", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// kill -9, then the same again.
    pub fn kill_and_restart(mut self) -> Self {
        self.signal(libc::SIGKILL);
        self.wait();
        Self::start(&self.flags)
    }

    /// Memory of its own, in bytes: what it shares with the dataplanes of other tests changes when they end.
    pub fn memory(&self) -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).unwrap();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
