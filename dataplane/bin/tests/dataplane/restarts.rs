//! What is served after a start alone.

use std::fs;
use std::io::Write as _;

use crate::control::Heard;
use crate::dns::{REFUSED, ask_tcp, ask_udp};
use crate::process::{Dataplane, Directory, Flags, wait_until};
use crate::zones::{address, bare_zone, down, failover, texts, triple, zone};
use geodns_link::frame::Frame;

const WWW: &str = "www.example.com";

/// Revision 1 as a FULL, then deltas up to `last`, each with its own address.
fn serve_up_to(plane: &Dataplane, last: u8) {
    let mut control = plane.publisher();
    assert_eq!(control.full(triple(1), &zone([192, 0, 2, 1])), Heard::Ack(triple(1)));
    for revision in 2..=last {
        let (base, next) = (triple(u64::from(revision) - 1), triple(u64::from(revision)));
        assert_eq!(control.delta(base, next, &[address(WWW, [192, 0, 2, revision])]), Heard::Ack(next));
    }
}

fn check_serves(plane: &Dataplane, revision: u8) {
    assert_eq!(plane.publisher().hello.served, Some(triple(u64::from(revision))));
    assert_eq!(ask_udp(plane.v4(), WWW).address(), Some([192, 0, 2, revision]));
    assert_eq!(ask_tcp(plane.v6(), WWW).address(), Some([192, 0, 2, revision]));
}

#[test]
fn what_was_acknowledged_is_served_after_kill_9() {
    let directory = Directory::new();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    serve_up_to(&plane, 20);
    let plane = plane.kill_and_restart();
    check_serves(&plane, 20);
    // And the journal is gone on with.
    let mut control = plane.publisher();
    assert_eq!(control.delta(triple(20), triple(21), &[address(WWW, [192, 0, 2, 21])]), Heard::Ack(triple(21)));
    check_serves(&plane.kill_and_restart(), 21);
}

#[test]
fn a_damaged_base_is_set_aside_and_nothing_is_lost() {
    let directory = Directory::new();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    serve_up_to(&plane, 3);
    let mut control = plane.publisher();
    // A FULL of what is served: the state before it becomes the previous one.
    assert_eq!(control.full(triple(4), &zone([192, 0, 2, 4])), Heard::Ack(triple(4)));
    drop(plane.kill_and_restart());
    let path = directory.0.join("base");
    let mut base = fs::read(&path).unwrap();
    let middle = base.len() / 2;
    base[middle] ^= 0xff;
    fs::write(&path, base).unwrap();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    check_serves(&plane, 3);
    assert!(directory.0.join("base.refused").exists());
    assert!(plane.said().contains("damaged"));
    // Control brings the rest, and it lasts.
    let mut control = plane.publisher();
    assert_eq!(control.delta(triple(3), triple(5), &[address(WWW, [192, 0, 2, 5])]), Heard::Ack(triple(5)));
    check_serves(&plane.kill_and_restart(), 5);
}

#[test]
fn a_torn_journal_is_cut_off_at_its_last_whole_entry() {
    let directory = Directory::new();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    serve_up_to(&plane, 5);
    drop(plane);
    let mut journal = fs::OpenOptions::new().append(true).open(directory.0.join("journal")).unwrap();
    journal.write_all(&[0, 0, 1, 0, 1, 2, 3]).unwrap();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    check_serves(&plane, 5);
    let mut control = plane.publisher();
    assert_eq!(control.delta(triple(5), triple(6), &[address(WWW, [192, 0, 2, 6])]), Heard::Ack(triple(6)));
    check_serves(&plane.kill_and_restart(), 6);
}

#[test]
fn a_long_journal_is_compacted_while_deltas_go_on() {
    let directory = Directory::new();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    serve_up_to(&plane, 1);
    let mut control = plane.publisher();
    let mut revision = 1;
    let mut step = |control: &mut crate::control::Control| {
        let (base, next) = (triple(revision), triple(revision + 1));
        let bulk = texts("bulk.example.com", 60_000);
        assert_eq!(control.delta(base, next, &[bulk, address(WWW, [192, 0, 2, 200])]), Heard::Ack(next));
        revision += 1;
        revision
    };
    let mut served = 0;
    wait_until("a compaction has shortened the journal twice", || {
        served = step(&mut control);
        directory.0.join("journal.previous").exists() && plane.said().matches("compacted the journal").count() >= 2
    });
    let status = control.status();
    assert!(status["disk"]["last_error"].is_null());
    let plane = plane.kill_and_restart();
    assert_eq!(plane.publisher().hello.served, Some(triple(served)));
    assert_eq!(ask_udp(plane.v4(), WWW).address(), Some([192, 0, 2, 200]));
    drop(plane);
    // The newest base is damaged: the one before and its journals make the same state.
    fs::write(directory.0.join("base"), b"GDNSBASE").unwrap();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    assert_eq!(plane.publisher().hello.served, Some(triple(served)));
}

#[test]
fn health_and_configuration_outlive_a_restart() {
    let directory = Directory::new();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    let mut control = plane.publisher();
    let mut changes = bare_zone();
    changes.push(failover(WWW, [192, 0, 2, 1], [192, 0, 2, 2]));
    assert_eq!(control.full(triple(1), &changes), Heard::Ack(triple(1)));
    control.whole_health(9, &[(1, down())]);
    control.send(&Frame::Config(br#"{"deny": ["::1/128"]}"#));
    control.status();
    wait_until("health and configuration are on disk", || ["health", "config.json"].iter().all(|file| directory.0.join(file).exists()));
    let plane = plane.kill_and_restart();
    assert_eq!(plane.publisher().hello.health_epoch, 9);
    assert_eq!(ask_udp(plane.v4(), WWW).address(), Some([192, 0, 2, 2]));
    assert_eq!(ask_udp(plane.v6(), WWW).rcode(), REFUSED);
}

#[test]
fn a_state_that_killed_the_process_twice_is_set_aside() {
    let directory = Directory::new();
    let mut plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    serve_up_to(&plane, 4);
    for _ in 0..2 {
        // As a defect would: the process dies of itself.
        plane.signal(libc::SIGSEGV);
        plane.wait();
        plane = Dataplane::start(&plane.flags);
    }
    check_serves(&plane, 1);
    let heard = plane.publisher().delta(triple(1), triple(4), &[address(WWW, [192, 0, 2, 4])]);
    assert!(matches!(heard, Heard::Refused(4, ..)), "{heard:?}");
    assert_eq!(plane.publisher().delta(triple(1), triple(5), &[address(WWW, [192, 0, 2, 5])]), Heard::Ack(triple(5)));
    check_serves(&plane, 5);
}

#[test]
fn being_killed_from_outside_says_nothing_about_the_state() {
    let directory = Directory::new();
    let mut plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    serve_up_to(&plane, 3);
    for _ in 0..5 {
        plane = plane.kill_and_restart();
    }
    check_serves(&plane, 3);
}

/// What a process may write to one file, from now on.
fn limit_files(plane: &Dataplane, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    let pid = i32::try_from(plane.pid()).unwrap();
    // SAFETY: the pointer is to `limit`, which outlives the call; the pid is that of a child that has not been waited for.
    assert_eq!(unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut()) }, 0);
}

#[test]
fn a_full_disk_is_loud_stops_nothing_and_is_made_good_when_there_is_room() {
    let directory = Directory::new();
    let mut flags = Flags::on_loopback(&directory.0);
    // The nearest thing to a full disk: writes fail with an error instead of a signal.
    flags.limits = Some("trap '' XFSZ");
    let plane = Dataplane::start(&flags);
    serve_up_to(&plane, 3);
    let mut control = plane.publisher();
    limit_files(&plane, 8192);
    let bulk = texts("bulk.example.com", 20_000);
    assert_eq!(control.delta(triple(3), triple(4), &[bulk.clone(), address(WWW, [192, 0, 2, 4])]), Heard::Ack(triple(4)));
    check_serves(&plane, 4);
    assert!(plane.publisher().status()["disk"]["last_error"].is_string());
    assert!(plane.said().contains("cannot be kept on disk"));
    let mut changes = zone([192, 0, 2, 5]);
    changes.push(bulk);
    assert_eq!(plane.publisher().full(triple(5), &changes), Heard::Ack(triple(5)));
    check_serves(&plane, 5);
    limit_files(&plane, libc::RLIM_INFINITY);
    wait_until("the state is on disk again", || plane.publisher().status()["disk"]["last_error"].is_null());
    let plane = plane.kill_and_restart();
    check_serves(&plane, 5);
}

#[test]
fn a_full_disk_at_the_last_moment_loses_only_what_did_not_fit() {
    let directory = Directory::new();
    let mut flags = Flags::on_loopback(&directory.0);
    flags.limits = Some("trap '' XFSZ");
    let plane = Dataplane::start(&flags);
    serve_up_to(&plane, 3);
    limit_files(&plane, 8192);
    let bulk = texts("bulk.example.com", 20_000);
    let heard = plane.publisher().delta(triple(3), triple(4), &[bulk, address(WWW, [192, 0, 2, 4])]);
    assert_eq!(heard, Heard::Ack(triple(4)));
    check_serves(&plane.kill_and_restart(), 3);
}
