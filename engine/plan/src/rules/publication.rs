//! A publication that is there already has a name that PostgreSQL keeps, and belongs to one set.

use pgkedge_model::{Finding, Ident};

use super::Text;
use crate::capture_view::{CaptureView, SetView};
use crate::codes;
use crate::views::TextView;

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let view = CaptureView::of(text.json);
    let named: Vec<(&SetView<'_>, &TextView<'_>)> =
        view.sets.iter().filter_map(|set| Some((set, set.publication.as_ref()?))).collect();
    let each = named.iter().enumerate().filter_map(|(n, (set, name))| {
        let earlier = named[..n].iter().find(|(_, earlier)| earlier.text == name.text);
        unfit(name).or_else(|| earlier.map(|earlier| twice(earlier, (set, name))))
    });
    each.collect()
}

fn unfit(name: &TextView<'_>) -> Option<Finding> {
    let finding = |message: String| {
        Finding::error(codes::PUBLICATION_NAME, message)
            .at_value(name.pointer.clone(), "not possible")
    };
    if let Err(error) = Ident::new(name.text) {
        let help =
            "write the name as `select pubname from pg_publication` shows it, without quotes";
        return Some(finding(format!("a publication cannot have this name: {error}")).help(help));
    }
    is_of_a_run(name.text).then(|| {
        let message =
            format!("`{}` is the name of a publication that a run creates, and drops", name.text);
        finding(message).help("create one of another name, before the slot")
    })
}

/// `pgkedge_<set>_<tag>`, with a tag of eight hex digits.
fn is_of_a_run(name: &str) -> bool {
    let parts = name.strip_prefix("pgkedge_").and_then(|rest| rest.rsplit_once('_'));
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    parts.is_some_and(|(set, tag)| !set.is_empty() && tag.len() == 8 && tag.bytes().all(digit))
}

fn twice(
    (first, at): &(&SetView<'_>, &TextView<'_>),
    (set, name): (&SetView<'_>, &TextView<'_>),
) -> Finding {
    let message = format!(
        "replication sets `{}` and `{}` are the same publication, `{}`",
        first.name, set.name, name.text
    );
    Finding::error(codes::DUPLICATE_NAME, message)
        .at_value(name.pointer.clone(), "again")
        .at_value(at.pointer.clone(), "first here")
        .help(format!(
            "let all groups whose tables it publishes name one set: `replication_sets: [{}]`",
            first.name
        ))
}
