//! JSON pointers (RFC 6901) as text.

/// The pointer of a child.
pub(crate) fn child(parent: &str, segment: impl std::fmt::Display) -> String {
    format!("{parent}/{}", segment.to_string().replace('~', "~0").replace('/', "~1"))
}

/// The last segment as it was written, without escapes.
pub(crate) fn name(pointer: &str) -> String {
    pointer.rsplit('/').next().unwrap_or("").replace("~1", "/").replace("~0", "~")
}

/// The pointer of the parent; the root is its own.
pub(crate) fn parent(pointer: &str) -> &str {
    pointer.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Whether `pointer` is `root` or lies below it.
pub(crate) fn is_within(pointer: &str, root: &str) -> bool {
    pointer.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
