//! The errors inside an `anyOf` or `oneOf` that are about what was meant.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;

use crate::pointer;

/// Goes down to the branch whose type and tag fit; where none or several do, the error stays whole.
pub(super) fn innermost<'e>(error: &'e ValidationError<'e>) -> Vec<&'e ValidationError<'e>> {
    let (Kind::AnyOf { context } | Kind::OneOfNotValid { context }) = error.kind() else {
        return vec![error];
    };
    let here = error.instance_path().as_str();
    let meant: Vec<_> =
        context.iter().filter(|branch| !branch.iter().any(|e| is_of_another(e, here))).collect();
    match meant.as_slice() {
        [branch] => branch.iter().flat_map(|inner| innermost(inner)).collect(),
        _ => vec![error],
    }
}

/// Whether an error says that its branch is for another type or tag.
fn is_of_another(error: &ValidationError<'_>, here: &str) -> bool {
    let at = error.instance_path().as_str();
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are about the contents")]
    match error.kind() {
        Kind::Type { .. } | Kind::Enum { .. } => at == here,
        Kind::Constant { .. } => at == here || pointer::parent(at) == here,
        _ => false,
    }
}
