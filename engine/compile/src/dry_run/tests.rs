use pgkedge_model::{Each, SecretRef};
use serde_json::json;

use super::*;
use crate::testing::{Sketch, World};

fn world() -> World {
    let mut world = World::new().table(1, "public.orders").table(2, "public.gone");
    for n in 3..=6 {
        world = world.sized(n, &format!("public.t{n}"), 100_000 * u64::from(n));
    }
    world.index(20, "public.orders_i", 1, false)
}

fn sketch() -> Sketch {
    Sketch::new()
        .exclude(&["public.gone"])
        .step("check/servers", "watch", None, json!({}))
        .step("load/snapshot", "service", None, json!({ "writes": ["snapshot:source"] }))
        .step(
            "load/copy",
            "small",
            Some(Each::Part),
            json!({ "output": "snapshot:source", "sql": "copy {} from stdin", "before": "lock table x" }),
        )
        .step(
            "load/index",
            "alone",
            Some(Each::Index),
            json!({ "sql": "create index \"\u{1b}[31m\"\n    on {} (id)" }),
        )
        .step("load/release", "alone", None, json!({ "stops": "snapshot", "writes": ["snapshot:source"] }))
        .step("nothing/at_all", "alone", Some(Each::ForeignKey), json!({}))
}

fn options(brief: bool) -> Options {
    let open = vec!["begin".into(), "select 1 from pgkedge_‹run›.run\nfor share".into()];
    let guard = Guard { open, close: vec!["commit".into()] };
    Options { session: vec!["search_path = ''".into(), "TimeZone = 'UTC'".into()], guard, brief }
}

fn with_subject<T>(show: impl Fn(Subject<'_>) -> T) -> T {
    let world = world();
    let compiled = sketch().compile(&world).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let database = |name: &str| DatabaseRef::new(SecretRef::Env(name.into()));
    let databases = BTreeMap::from([
        (Server::Source, database("SOURCE_URL")),
        (Server::Target, database("TARGET_URL")),
    ]);
    show(Subject {
        plan: "shop",
        path: "plans/shop.yaml",
        databases: &databases,
        facts: &world.0,
        selection: &compiled.selection,
        graph: &compiled.graph,
    })
}

#[test]
fn the_text_shows_every_statement() {
    insta::assert_snapshot!(with_subject(|subject| text(subject, &options(false)).unwrap()));
}

#[test]
fn the_brief_text_shows_the_first_members_of_a_bundle() {
    insta::assert_snapshot!(with_subject(|subject| text(subject, &options(true)).unwrap()));
}

#[test]
fn the_document_holds_the_whole_graph() {
    let document = with_subject(|subject| json(subject, &options(true)));
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
}
