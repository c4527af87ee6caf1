//! The fingerprint of what a step does: the same as long as doing it again would do the same.

use std::io::Write as _;

use blake3::Hasher;
use pgkedge_model::{StepDigest, StepNode};
use serde::Serialize;
use serde_json::Value;

/// Over the kind, its version, the parameters and every statement; not over what it waits for.
pub(super) fn digest(node: &StepNode, version: u32) -> StepDigest {
    let mut hasher = Hasher::new();
    add(&mut hasher, &(&node.kind, version));
    add_sorted(&mut hasher, &node.params);
    add(&mut hasher, &node.before);
    for member in &node.members {
        add(&mut hasher, &member.key);
        add_sorted(&mut hasher, &member.params);
        add(&mut hasher, &member.run);
    }
    add(&mut hasher, &node.after);
    StepDigest(hasher.finalize().to_hex().to_string())
}

/// JSON cannot hold a line break outside of a string, so the parts cannot run into each other.
fn add(hasher: &mut Hasher, part: &impl Serialize) {
    serde_json::to_writer(&mut *hasher, part).expect("nodes are JSON, and hashing cannot fail");
    hasher.write_all(b"\n").expect("hashing cannot fail");
}

/// Parameters come from people, who may reorder them.
fn add_sorted(hasher: &mut Hasher, value: &Value) {
    let mut value = value.clone();
    value.sort_all_objects();
    add(hasher, &value);
}
