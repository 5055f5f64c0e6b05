//! Any bytes as a state: items are decoded, applied and judged without a panic, and alike whether they are taken singly or as a whole state; a set
//! that was accepted can be written out and read again.
#![no_main]

use geodns_engine::steer::SteeringEditor;
use geodns_engine::zones::{ZoneEditor, ZoneSet};
use geodns_link::item::{ItemBuffer, put_item};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let edited = build(data, ZoneSet::new(99).edit());
    let loaded = build(data, ZoneSet::new(99).load());
    assert_eq!(edited.as_ref().map(contents), loaded.as_ref().map(contents));
    let Some(zones) = loaded else { return };
    let mut written = Vec::new();
    for change in zones.changes() {
        put_item(&mut written, &change).expect("what was read can be written");
    }
    let again = build(&written, ZoneSet::new(99).load()).expect("what was written can be read");
    assert_eq!(contents(&again), contents(&zones));
});

/// Owner names with and without rrsets, and what is at them, in an order of their own.
fn contents(zones: &ZoneSet) -> (usize, Vec<Vec<u8>>) {
    let mut items: Vec<Vec<u8>> = zones
        .changes()
        .map(|change| {
            let mut item = Vec::new();
            put_item(&mut item, &change).expect("what was read can be written");
            item
        })
        .collect();
    items.sort_unstable();
    (zones.owners(), items)
}

fn build(data: &[u8], mut editor: ZoneEditor) -> Option<ZoneSet> {
    let mut items = ItemBuffer::default();
    let mut steering = SteeringEditor::new();
    items.push(data);
    while let Some(change) = items.pull().ok()? {
        editor.apply(change, &mut steering).ok()?;
    }
    editor.finish().ok()
}
