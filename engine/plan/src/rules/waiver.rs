//! A waiver takes one warning away, and must have one to take.

use pgkedge_model::Finding;
use serde_json::Value;

use super::{Text, WAIVABLE};
use crate::nearest::suggestion;
use crate::{codes, pointer, views};

/// The warnings that are left, and what is wrong with the waivers.
pub(super) fn apply(text: &Text<'_>, mut warnings: Vec<Finding>) -> Vec<Finding> {
    let raised: Vec<String> = warnings.iter().map(|warning| warning.code.clone()).collect();
    let mut findings = Vec::new();
    for (at, waiver) in views::objects(text.json, "/waive") {
        let Some(code) = waiver.get("code").and_then(Value::as_str) else { continue };
        let at = pointer::child(&at, "code");
        if !WAIVABLE.contains(&code) {
            findings.push(unknown(at, code));
        } else if raised.iter().any(|raised| raised == code) {
            warnings.retain(|warning| warning.code != code);
        } else if text.phases.is_some() {
            // Without phases nothing was looked for, so that nothing is known to be unused.
            findings.push(unused(at, code));
        }
    }
    warnings.extend(findings);
    warnings
}

fn unknown(at: String, code: &str) -> Finding {
    let message = if codes::CODES.contains(&code) {
        format!("`{code}` is an error and cannot be waived")
    } else {
        format!("there is no warning `{code}`")
    };
    Finding::error(codes::UNKNOWN_WAIVER, message)
        .at_value(at, "cannot be waived")
        .help(suggestion(code, "warnings that can be waived", &WAIVABLE))
}

fn unused(at: String, code: &str) -> Finding {
    Finding::error(
        codes::UNUSED_WAIVER,
        format!("`{code}` is waived, but there is no such warning"),
    )
    .at_value(at, "nothing to waive")
    .help("remove this waiver, so that the warning is seen if it ever comes")
}
