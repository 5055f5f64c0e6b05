//! Start and end of the dataplane: sockets, state, threads, in the order that keeps the promises: nothing is bound before it can be answered, and
//! nothing is answered before what was served last is served again.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use geodns_engine::steer::SteeringEditor;
use geodns_engine::view::View;
use geodns_engine::zones::ZoneSet;
use geodns_link::frame::Ownership;
use mio::Waker;

use crate::adopter::{Adopter, Threads};
use crate::config::Config;
use crate::counters::WorkerCounters;
use crate::disk::deathmark::DeathMark;
use crate::disk::recovery::recover;
use crate::disk::state::{Paths, StateDisk, take_directory};
use crate::link::{Bell, Identity, LinkServer, Parts, bind_socket};
use crate::locations::Locations;
use crate::merger::Merger;
use crate::published::Published;
use crate::reaper::Reaper;
use crate::responder::{RateClock, Responder};
use crate::status::{Status, triple_text};
use crate::sys::{self, Listening};
use crate::tcp::TcpServer;
use crate::udp::{LONGEST_WAIT, Listener, UdpWorker};
use crate::{log, panics};

/// The exit code when a thread has died that cannot be replaced: whoever supervises starts a new process.
const EXIT_BROKEN: i32 = 70;

/// How to run.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: Vec<SocketAddr>,
    pub workers: usize,
    pub state: PathBuf,
    pub socket: PathBuf,
    pub settings_digest: [u8; 32],
    /// Become this user once what needs root is done.
    pub user: Option<String>,
    pub ownership: Ownership,
    pub cpu_affinity: bool,
    pub version: &'static str,
}

/// A dataplane that runs.
#[derive(Debug)]
pub struct Server {
    stop: Arc<AtomicBool>,
    wakers: Vec<Arc<Waker>>,
    threads: Vec<JoinHandle<()>>,
    /// Held for as long as the process lives.
    _lock: File,
}

/// Sockets with all options set, not yet bound.
struct Sockets {
    /// One for each worker and listen address.
    udp: Vec<Vec<OwnedFd>>,
    tcp: Vec<OwnedFd>,
}

impl Server {
    /// Starts everything; when this returns, queries are answered and control may connect.
    ///
    /// # Errors
    /// One sentence that says why this cannot run.
    pub fn start(settings: &Settings) -> Result<Self, String> {
        panics::report_in_log();
        sys::return_large_blocks();
        check_addresses(&settings.listen)?;
        settings.listen.iter().try_for_each(|addr| find_out_whether_free(*addr))?;
        // Before root's powers are given up: only with them may the receive buffer exceed what the machine allows everybody.
        let sockets = open_sockets(settings)?;
        let _ = sys::raise_descriptor_limit();
        sys::keep_files_private();
        if let Some(name) = &settings.user {
            become_user(name)?;
        }
        let lock = take_directory(&settings.state)?;
        let stop = Arc::new(AtomicBool::new(false));
        let published = Arc::new(Published::new(Arc::new(nothing())));
        let internal = |error: io::Error| format!("the process cannot be set up: {error}");

        let bell = Bell::new().map_err(internal)?;
        let (adopter, locations) = load(settings, &bell, &published)?;
        let counters: Vec<Arc<WorkerCounters>> = (0..settings.workers + 2).map(|_| Arc::default()).collect();
        let (worker_counters, own) = counters.split_at(settings.workers);
        let status = Status {
            started: Instant::now(),
            version: settings.version,
            listen: settings.listen.clone(),
            workers: settings.workers,
            counters: counters.clone(),
        };
        let link = LinkServer::new(Parts {
            listener: bind_socket(&settings.socket)?,
            path: settings.socket.clone(),
            identity: Identity { ownership: settings.ownership, settings_digest: settings.settings_digest },
            adopter,
            locations,
            status,
            counters: Arc::clone(&own[1]),
            stop: Arc::clone(&stop),
            bell,
        })
        .map_err(internal)?;

        // From here on queries queue up, and the threads that answer them follow at once.
        let (udp, tcp) = bind_sockets(settings, sockets)?;
        let rates = Arc::new(RateClock::start().map_err(internal)?);
        let responder = |counters: &Arc<WorkerCounters>| {
            Responder::new(Arc::clone(&published), Arc::clone(&rates), Arc::clone(counters)).map_err(internal)
        };
        let tcp_server = TcpServer::new(tcp, responder(&own[0])?, Arc::clone(&own[0]), Arc::clone(&stop)).map_err(internal)?;
        let mut server = Self { stop: Arc::clone(&stop), wakers: Vec::new(), threads: Vec::new(), _lock: lock };
        for (number, (listeners, counters)) in udp.into_iter().zip(worker_counters).enumerate() {
            let worker = UdpWorker::new(listeners, responder(counters)?, Arc::clone(counters), Arc::clone(&stop));
            let pin = settings.cpu_affinity;
            server.spawn(format!("udp-{number}"), move || {
                if pin && let Err(error) = sys::pin_to_core(number) {
                    log::warning("a worker could not be kept on its core", &[("error", &error)]);
                }
                worker.run();
            })?;
        }
        server.wakers.push(Arc::new(tcp_server.waker().map_err(internal)?));
        server.wakers.push(link.waker());
        server.spawn("tcp".into(), move || tcp_server.run())?;
        server.spawn("link".into(), move || link.run())?;
        log::info(
            "serving",
            &[("version", &settings.version), ("workers", &settings.workers), ("listen", &join(&settings.listen)), ("pid", &process::id())],
        );
        Ok(server)
    }

    /// A thread without which the process is of no use.
    fn spawn(&mut self, name: String, body: impl FnOnce() + Send + 'static) -> Result<(), String> {
        let stop = Arc::clone(&self.stop);
        let thread = thread::Builder::new().name(name.clone()).spawn(move || {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            if ended.is_err() || !stop.load(Ordering::Relaxed) {
                log::error("a thread has ended that must not: the process ends", &[("thread", &name)]);
                process::exit(EXIT_BROKEN);
            }
        });
        self.threads.push(thread.map_err(|error| format!("a thread cannot be started: {error}"))?);
        Ok(())
    }

    /// Ends everything: what has been received is answered, what was adopted is on disk.
    pub fn stop(self) {
        log::info("ending", &[]);
        self.stop.store(true, Ordering::SeqCst);
        for waker in &self.wakers {
            let _ = waker.wake();
        }
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// What is served before anything is: every query is refused.
pub fn nothing() -> View {
    let (tables, health) = SteeringEditor::new().tables();
    View { zones: Arc::new(ZoneSet::new(0)), tables, health, options: Arc::new(Config::default().options), triple: None }
}

/// What was served last, from disk.
fn load(settings: &Settings, bell: &Bell, published: &Arc<Published>) -> Result<(Adopter, Locations), String> {
    let fail = |error: io::Error| format!("the state directory {} cannot be used: {error}", settings.state.display());
    let begun = Instant::now();
    let paths = Paths::new(&settings.state);
    let seed = sys::random_u64().map_err(fail)?;
    let mut mark = DeathMark::open(&paths.adopted).map_err(fail)?;
    mark.watch().map_err(fail)?;
    let mut recovered = recover(&paths, seed, &mut mark);
    let config = recovered.config.as_deref().map_or_else(Config::default, |json| {
        Config::read(json).unwrap_or_else(|reason| {
            log::error("the configuration on disk is not used", &[("reason", &reason)]);
            Config::default()
        })
    });
    let mut locations = Locations::recover(&paths.locations, &config.geo_databases, bell.waker()).map_err(fail)?;
    let disk = StateDisk::start(
        paths,
        recovered.journal.take(),
        recovered.base_bytes,
        recovered.wants_new_base && recovered.served.is_some(),
        recovered.config.take(),
        bell.waker(),
    )
    .map_err(fail)?;
    let (reaper, _) = Reaper::start().map_err(fail)?;
    let threads = Threads { reaper, merger: Merger::start(bell.waker()).map_err(fail)? };
    let served = recovered.served.map_or_else(|| "nothing".to_owned(), |triple| triple_text(&triple));
    let mut adopter = Adopter::new(recovered, seed, mark, disk, Arc::clone(published), threads);
    adopter.set_options(config.options, config.sticky_prefix);
    adopter.set_locations(locations.in_force());
    if locations.lacks_any() {
        // Nobody may come to tell us to look.
        locations.want(config.geo_databases, config.geo_generation);
    }
    let (zones, owners) = adopter.size();
    log::info(
        "took up the state on disk",
        &[("served", &served), ("zones", &zones), ("owners", &owners), ("milliseconds", &begun.elapsed().as_millis())],
    );
    Ok((adopter, locations))
}

fn check_addresses(listen: &[SocketAddr]) -> Result<(), String> {
    if listen.is_empty() {
        return Err("there is no address to listen on".into());
    }
    for (index, addr) in listen.iter().enumerate() {
        if addr.port() == 0 {
            return Err(format!("{addr} names port 0, on which nobody can ask"));
        }
        if listen[..index].contains(addr) {
            return Err(format!("{addr} is listed twice"));
        }
    }
    Ok(())
}

/// One bind without `SO_REUSEPORT`, for with it a second server would silently share the port. A bind alone tells of a TCP listener too, and nobody can
/// connect to what does not listen.
fn find_out_whether_free(addr: SocketAddr) -> Result<(), String> {
    let udp = sys::open_udp(addr, false, LONGEST_WAIT).and_then(|socket| sys::bind(&socket, addr));
    udp.map_err(|error| cannot_listen(addr, "UDP", &error))?;
    let tcp = sys::open_tcp(addr).and_then(|socket| sys::bind(&socket, addr));
    tcp.map_err(|error| cannot_listen(addr, "TCP", &error))
}

fn cannot_listen(addr: SocketAddr, transport: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("{addr} is in use by another program ({transport})"),
        io::ErrorKind::AddrNotAvailable => format!("{} is not an address of this machine", addr.ip()),
        io::ErrorKind::PermissionDenied => format!("{addr} may be listened on only by root or with CAP_NET_BIND_SERVICE ({transport})"),
        _ => format!("{addr} cannot be listened on ({transport}): {error}"),
    }
}

fn open_sockets(settings: &Settings) -> Result<Sockets, String> {
    let open_udp = |addr: &SocketAddr| sys::open_udp(*addr, true, LONGEST_WAIT).map_err(|error| cannot_listen(*addr, "UDP", &error));
    let open_tcp = |addr: &SocketAddr| sys::open_tcp(*addr).map_err(|error| cannot_listen(*addr, "TCP", &error));
    let udp = (0..settings.workers).map(|_| settings.listen.iter().map(open_udp).collect()).collect::<Result<_, _>>()?;
    Ok(Sockets { udp, tcp: settings.listen.iter().map(open_tcp).collect::<Result<_, _>>()? })
}

type Bound = (Vec<Vec<Listener>>, Vec<mio::net::TcpListener>);

fn bind_sockets(settings: &Settings, sockets: Sockets) -> Result<Bound, String> {
    // Once more, for the state may have taken a second to load.
    settings.listen.iter().try_for_each(|addr| find_out_whether_free(*addr))?;
    let bind_udp = |(socket, addr): (OwnedFd, &SocketAddr)| {
        sys::bind(&socket, *addr).map_err(|error| cannot_listen(*addr, "UDP", &error))?;
        let listening = if addr.ip().is_unspecified() { Listening::Wildcard } else { Listening::OneAddress };
        Ok::<_, String>(Listener { socket: UdpSocket::from(socket), listening })
    };
    let bind_tcp = |(socket, addr): (OwnedFd, &SocketAddr)| {
        let fail = |error: io::Error| cannot_listen(*addr, "TCP", &error);
        sys::bind(&socket, *addr).and_then(|()| sys::listen(&socket)).map_err(fail)?;
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true).map_err(fail)?;
        Ok::<_, String>(mio::net::TcpListener::from_std(listener))
    };
    let listen = &settings.listen;
    let udp = sockets.udp.into_iter().map(|worker| worker.into_iter().zip(listen).map(bind_udp).collect()).collect::<Result<_, _>>()?;
    Ok((udp, sockets.tcp.into_iter().zip(listen).map(bind_tcp).collect::<Result<_, _>>()?))
}

fn become_user(name: &str) -> Result<(), String> {
    let account = sys::find_account(name).map_err(|error| format!("the user {name} cannot be looked up: {error}"))?;
    let account = account.ok_or_else(|| format!("there is no user {name}"))?;
    sys::become_account(account).map_err(|error| format!("the process cannot become the user {name}: {error}"))
}

fn join(listen: &[SocketAddr]) -> String {
    listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// How long a clean end may take before the process is ended without it.
pub const LONGEST_END: Duration = Duration::from_secs(4);
