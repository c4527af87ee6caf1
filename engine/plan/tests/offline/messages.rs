//! Every way in which a text is no plan, and what a reader is told about it.

use std::collections::BTreeSet;

use crate::support::{checked, files, fixtures, rendered};
use pgkedge_plan::{CODES, report};

/// The findings' codes and the message as it is shown.
fn told(bytes: &[u8]) -> (Vec<String>, String) {
    match checked(bytes) {
        Err(rejection) => {
            let codes = rejection.findings.iter().map(|finding| finding.code.clone()).collect();
            (codes, rendered(&rejection))
        }
        Ok(plan) => {
            let codes = plan.warnings.iter().map(|finding| finding.code.clone()).collect();
            (codes, rendered(&report(&plan.map, &plan.warnings)))
        }
    }
}

#[test]
fn every_invalid_plan_is_explained() {
    insta::with_settings!({ snapshot_path => fixtures().join("snapshots"), prepend_module_to_snapshot => false, omit_expression => true }, {
        for (name, bytes) in files(&fixtures().join("invalid")) {
            let (codes, message) = told(&bytes);
            assert!(!codes.is_empty(), "{name} is valid");
            insta::assert_snapshot!(name, message);
        }
    });
}

#[test]
fn every_code_has_an_invalid_plan() {
    let seen: BTreeSet<String> =
        files(&fixtures().join("invalid")).iter().flat_map(|(_, bytes)| told(bytes).0).collect();
    let unseen: Vec<_> = CODES.iter().filter(|code| !seen.contains(**code)).collect();
    assert!(unseen.is_empty(), "no fixture for {unseen:?}");
}

#[test]
fn every_finding_points_into_the_text_and_names_the_next_thing_to_do() {
    for (name, bytes) in files(&fixtures().join("invalid")) {
        let findings = match checked(&bytes) {
            Err(rejection) => rejection.findings,
            Ok(plan) => plan.warnings,
        };
        for finding in findings {
            assert!(!finding.places.is_empty(), "{name}: {} has no place", finding.code);
            assert!(finding.help.is_some(), "{name}: {} has no help", finding.code);
        }
    }
}

#[test]
fn no_message_shows_a_password() {
    for (name, bytes) in files(&fixtures().join("invalid")) {
        assert!(!told(&bytes).1.contains("s3cr3t"), "{name}");
    }
}
