//! Any bytes as a state: items are decoded, applied and judged without a panic; a set that was accepted can be written out and read again.
#![no_main]

use geodns_engine::steer::SteeringEditor;
use geodns_engine::zones::ZoneSet;
use geodns_link::item::{ItemBuffer, put_item};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(zones) = load(data) else { return };
    let mut written = Vec::new();
    for change in zones.changes() {
        put_item(&mut written, &change).expect("what was read can be written");
    }
    let again = load(&written).expect("what was written can be read");
    assert_eq!(again.changes().count(), zones.changes().count());
});

fn load(data: &[u8]) -> Option<ZoneSet> {
    let mut items = ItemBuffer::default();
    let mut steering = SteeringEditor::new();
    let mut editor = ZoneSet::new(99).edit();
    items.push(data);
    while let Some(change) = items.pull().ok()? {
        editor.apply(change, &mut steering).ok()?;
    }
    editor.finish().ok()
}
