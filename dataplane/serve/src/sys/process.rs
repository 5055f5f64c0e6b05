//! What the process may do, where its threads run, and the mark that a dying process leaves.

use std::ffi::{CString, c_char};
use std::fs::File;
use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};

use libc::{c_int, gid_t, uid_t};

use super::sockets::check;

/// Binding ports below 1024: all that is left of root's powers, because a listener may have to be opened again.
const CAP_NET_BIND_SERVICE: u32 = 10;

/// `_LINUX_CAPABILITY_VERSION_3` of capset(2).
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// How much less a background thread gets of a core than a worker that wants it.
const BACKGROUND_NICE: c_int = 10;

/// The least that a process can get.
const LEAST_NICE: c_int = 19;

/// Room for one passwd entry; what does not fit is treated as an error.
const PASSWD_BYTES: usize = 16 * 1024;

/// A user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub uid: uid_t,
    pub gid: gid_t,
}

/// The account of that name, or `None`.
///
/// # Errors
/// A name with a zero byte, or the user database cannot be read.
pub fn find_account(name: &str) -> io::Result<Option<Account>> {
    let name = CString::new(name)?;
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut text: Vec<c_char> = vec![0; PASSWD_BYTES];
    let mut found: *mut libc::passwd = null_mut();
    // SAFETY: every pointer is to a live local, and `text` has the length that is passed.
    let error = unsafe { libc::getpwnam_r(name.as_ptr(), entry.as_mut_ptr(), text.as_mut_ptr(), text.len(), &raw mut found) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    if found.is_null() {
        return Ok(None);
    }
    // SAFETY: a result that is not null says that the call has filled `entry`.
    let entry = unsafe { entry.assume_init() };
    Ok(Some(Account { uid: entry.pw_uid, gid: entry.pw_gid }))
}

/// Becomes `account` for good and keeps only `CAP_NET_BIND_SERVICE`. Nothing to do when the process is that user already.
/// To be called while there is one thread: capabilities are a thread's.
///
/// # Errors
/// The kernel's; the process must then end, for it may be half changed.
pub fn become_account(account: Account) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    #[repr(C)]
    struct Sets {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    // SAFETY: no pointers, cannot fail.
    if unsafe { libc::geteuid() } == account.uid {
        return Ok(());
    }
    let header = Header { version: CAPABILITY_VERSION, pid: 0 };
    let bind = 1_u32 << CAP_NET_BIND_SERVICE;
    let sets = [Sets { effective: bind, permitted: bind, inheritable: 0 }, Sets { effective: 0, permitted: 0, inheritable: 0 }];
    // SAFETY: the group list has the one entry that is announced; `header` and `sets` have the layout that capset(2) documents for this
    // version (two sets) and outlive the call; the other calls take integers.
    unsafe {
        check(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
        check(libc::setgroups(1, &raw const account.gid))?;
        check(libc::setgid(account.gid))?;
        check(libc::setuid(account.uid))?;
        let result = libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr());
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
    }
    Ok(())
}

/// Keeps the calling thread on the `ordinal`-th core of those that the process may use, counted around.
///
/// # Errors
/// The kernel's.
pub fn pin_to_core(ordinal: usize) -> io::Result<()> {
    // SAFETY: all-zero is a valid, empty `cpu_set_t`; the pointers and the size are those of the sets, which outlive the calls.
    unsafe {
        let mut allowed: libc::cpu_set_t = zeroed();
        check(libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut allowed))?;
        let limit = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
        let cores: Vec<usize> = (0..limit).filter(|&core| libc::CPU_ISSET(core, &allowed)).collect();
        let Some(&core) = cores.get(ordinal % cores.len().max(1)) else { return Ok(()) };
        let mut wanted: libc::cpu_set_t = zeroed();
        libc::CPU_SET(core, &mut wanted);
        check(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const wanted)).map(drop)
    }
}

/// Holds the process to that much memory and processor time, and lets it stand back for every other. Past either limit it ends, by the kernel's hand or its own.
///
/// # Errors
/// The kernel's.
pub fn bound_process(memory_bytes: u64, cpu_s: u64) -> io::Result<()> {
    for (resource, limit) in [(libc::RLIMIT_AS, memory_bytes), (libc::RLIMIT_CPU, cpu_s), (libc::RLIMIT_CORE, 0)] {
        let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: the pointer is to a live local of the type that setrlimit(2) wants.
        check(unsafe { libc::setrlimit(resource, &raw const limit) })?;
    }
    // SAFETY: no pointers.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, LEAST_NICE) }).map(drop)
}

/// Lets the calling thread stand back for the workers.
///
/// # Errors
/// The kernel's.
pub fn lower_priority() -> io::Result<()> {
    // SAFETY: no pointers. On Linux a "process" of setpriority(2) is a thread, and 0 the calling one.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, BACKGROUND_NICE) }).map(drop)
}

/// Blocks from this size on are the kernel's again as soon as they are freed.
const LARGE_BLOCK_BYTES: i32 = 256 * 1024;

/// Fixes the size from which memory is mapped by itself. Left alone, the C library raises it to 32 MiB when the first location table is freed, and tables and maps that
/// are swapped for others from then on leave holes that no other block fits: a process that has swapped a city database a few times is twice as large.
pub fn return_large_blocks() {
    // SAFETY: no pointers; called before there is a second thread. Where the C library does not know the option it says so, and nothing changes.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES);
    }
}

/// Lets the process have as many descriptors as it may: 1,024 connections need more than the usual soft limit.
///
/// # Errors
/// The kernel's.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointers are to `limit`, which outlives the calls.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        check(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit)).map(drop)
    }
}

/// What the process creates from now on is its user's alone: the state holds cookie secrets.
pub fn keep_files_private() {
    // SAFETY: no pointers, cannot fail.
    unsafe { libc::umask(0o077) };
}

/// 64 bits that nobody can foresee.
///
/// # Errors
/// The kernel's, before its own pool is ready.
pub fn random_u64() -> io::Result<u64> {
    let mut bytes = [0_u8; 8];
    // SAFETY: the pointer and the length are those of `bytes`, which outlives the call.
    let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    match usize::try_from(count) {
        Ok(8) => Ok(u64::from_ne_bytes(bytes)),
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Takes the advisory lock on `file` for as long as it is open; false when another process has it.
///
/// # Errors
/// The kernel's.
pub fn lock_exclusively(file: &File) -> io::Result<bool> {
    // SAFETY: no pointers; the descriptor is open because it is borrowed.
    match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Signals that only a fault of this program raises. SIGKILL is not among them: an operator's kill says nothing about the state.
const FATAL_SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];

/// Where the mark is written, and what it will be. The descriptor is never closed, so that the handler can trust it.
static MARK_FILE: AtomicI32 = AtomicI32::new(-1);
static MARK_DIGIT: AtomicU8 = AtomicU8::new(b'0');
static MARK_ARMED: AtomicBool = AtomicBool::new(false);

/// From now on a fatal signal, while armed, writes one digit to the start of `file` before the process dies of it.
///
/// # Errors
/// The kernel's.
pub fn watch_for_death(file: File) -> io::Result<()> {
    MARK_FILE.store(file.into_raw_fd(), Ordering::SeqCst);
    for signal in FATAL_SIGNALS {
        // SAFETY: all-zero is a valid `sigaction`; the handler is async-signal-safe (see there) and runs on the alternate stack, which the
        // standard library has set up for every thread, so that it can run when a stack has overflowed.
        unsafe {
            let mut action: libc::sigaction = zeroed();
            action.sa_sigaction = mark_death as *const () as usize;
            action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND;
            check(libc::sigaction(signal, &raw const action, null_mut()))?;
        }
    }
    Ok(())
}

/// A death from now on leaves `deaths` as its mark (one digit).
pub fn arm_death_mark(deaths: u8) {
    MARK_DIGIT.store(b'0' + deaths.min(9), Ordering::SeqCst);
    MARK_ARMED.store(true, Ordering::SeqCst);
}

/// A death from now on leaves no mark.
pub fn disarm_death_mark() {
    MARK_ARMED.store(false, Ordering::SeqCst);
}

/// The handler: atomics, write(2) and raise(3), which signal-safety(7) allows. `SA_RESETHAND` has put the default action back, so that
/// the signal raised again ends the process in the way that its parent expects.
extern "C" fn mark_death(signal: c_int) {
    if MARK_ARMED.swap(false, Ordering::SeqCst) {
        let digit = [MARK_DIGIT.load(Ordering::SeqCst)];
        // SAFETY: the pointer and the length are those of `digit`; a descriptor of -1 only makes the call fail.
        unsafe { libc::pwrite(MARK_FILE.load(Ordering::SeqCst), digit.as_ptr().cast(), 1, 0) };
    }
    // SAFETY: no pointers.
    unsafe { libc::raise(signal) };
}
