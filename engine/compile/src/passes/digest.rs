//! The fingerprint of what a step does: the same as long as doing it again would do the same.

use pgkedge_model::{StepDigest, StepNode};
use serde::Serialize;
use serde_json::Value;

/// Over the kind, its version, the slot whose load it belongs to, the parameters and every statement;
/// not over what it waits for.
pub(super) fn digest(node: &StepNode, version: u32) -> StepDigest {
    let mut document = Vec::new();
    add(&mut document, &(&node.kind, version));
    if let Some(scope) = &node.scope {
        add(&mut document, scope);
    }
    add_sorted(&mut document, &node.params);
    add(&mut document, &node.before);
    for member in &node.members {
        add(&mut document, &member.key);
        add_sorted(&mut document, &member.params);
        add(&mut document, &member.run);
    }
    add(&mut document, &node.after);
    StepDigest(blake3::hash(&document).to_hex().to_string())
}

/// JSON holds no line break outside of a string, so the parts cannot run into each other.
fn add(document: &mut Vec<u8>, part: &impl Serialize) {
    serde_json::to_writer(&mut *document, part).expect("nodes have only string keys");
    document.push(b'\n');
}

/// Parameters come from people, who may reorder them.
fn add_sorted(document: &mut Vec<u8>, value: &Value) {
    let mut value = value.clone();
    value.sort_all_objects();
    add(document, &value);
}
