use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pgkedge_model::{
    Barrier, ByteSize, Each, GraphNode, OutputOf, PhaseEdge, PhaseName, Piece, StepGraph, StepId,
    StepNode,
};
use serde_json::json;

use super::seal::{Loose, seal};
use crate::testing::{Sketch, World, name};

fn graph(sketch: &Sketch, world: &World) -> StepGraph {
    sketch.compile(world).unwrap_or_else(|findings| panic!("{findings:#?}")).graph
}

/// Each step with its members and with what it waits for, barriers left out.
fn drawn(graph: &StepGraph) -> String {
    let line = |step: &Arc<StepNode>| {
        let members: Vec<&str> = step.members.iter().map(|member| member.key.as_str()).collect();
        let needs = graph.needs(&step.id).filter(|id| graph.step(id).is_some());
        let needs: Vec<&str> = needs.map(|id| id.0.as_str()).collect();
        let members =
            if members.len() > 1 { format!(" [{}]", members.join(" ")) } else { String::new() };
        let needs =
            if needs.is_empty() { String::new() } else { format!(" <- {}", needs.join(", ")) };
        format!("{}{members}{needs}", step.id)
    };
    graph.steps().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn edges_come_from_what_steps_touch() {
    let sketch = Sketch::new()
        .step("load/hold", "service", None, json!({ "writes": ["snapshot:source"] }))
        .step("load/a", "alone", None, json!({ "adds": ["data:t"], "reads": ["snapshot:source"] }))
        .step("load/b", "alone", None, json!({ "adds": ["data:t"], "reads": ["nobody:writes"] }))
        .step("load/c", "alone", None, json!({ "reads": ["data:t"] }))
        .step("load/d", "alone", None, json!({ "reads": ["data:t"] }))
        .step("load/e", "alone", None, json!({ "adds": ["data:t"] }))
        .step("load/f", "alone", None, json!({ "writes": ["data:t"] }))
        .step("load/g", "alone", None, json!({ "writes": ["data:t"] }))
        .step(
            "load/let_go",
            "alone",
            None,
            json!({ "writes": ["snapshot:source"], "stops": "hold" }),
        )
        .step("later/h", "alone", None, json!({ "reads": ["data:t"] }));
    insta::assert_snapshot!(drawn(&graph(&sketch, &World::new())), @r"
    load/hold
    load/a <- load/hold
    load/b
    load/c <- load/a, load/b
    load/d <- load/a, load/b
    load/e <- load/c, load/d
    load/f <- load/e
    load/g <- load/f
    load/let_go <- load/a, load/hold
    later/h
    ");
}

#[test]
fn a_phase_waits_for_the_one_before_it_through_two_barriers() {
    let sketch = Sketch::new().step("one/a", "alone", None, json!({})).step(
        "two/b",
        "alone",
        None,
        json!({}),
    );
    let graph = graph(&sketch, &World::new());
    let order: Vec<&str> = graph.nodes().map(|(id, _)| id.0.as_str()).collect();
    assert_eq!(
        order,
        ["one/:opened", "one/a", "one/:closed", "two/:opened", "two/b", "two/:closed"]
    );
    let needs = |id: &str| graph.needs(&id.into()).map(|id| id.0.clone()).collect::<Vec<_>>();
    assert_eq!(needs("two/:opened"), ["one/:closed"]);
    assert_eq!(needs("two/b"), ["two/:opened"]);
    assert_eq!(needs("one/:closed"), ["one/:opened", "one/a"]);
}

#[test]
fn an_output_is_that_of_the_last_writer_before_even_in_another_phase() {
    let sketch = Sketch::new()
        .step("one/hold", "service", None, json!({ "writes": ["snapshot:source"] }))
        .step("two/copy", "alone", None, json!({ "output": "snapshot:source" }))
        .step(
            "two/let_go",
            "alone",
            None,
            json!({ "writes": ["snapshot:source"], "stops": "hold" }),
        );
    let graph = graph(&sketch, &World::new());
    let copy = graph.step(&"two/copy".into()).unwrap();
    let Piece::Output { of, .. } = &copy.members[0].run[0].text[1] else { panic!("{copy:?}") };
    assert_eq!(*of, OutputOf::Step("one/hold".into()));
    assert!(graph.needs(&copy.id).any(|need| need.0 == "one/hold"));
    assert_eq!(graph.step(&"two/let_go".into()).unwrap().stops, Some("one/hold".into()));
}

#[test]
fn small_drafts_share_bundles_and_large_ones_stand_alone() {
    let mut world = World::new();
    for n in 1..=12 {
        world = world.table(n, &format!("public.t{n:02}"));
    }
    world = world.sized(13, "public.large", 2 << 30);
    let mut sketch = Sketch::new()
        .step("load/copy", "small", Some(Each::Part), json!({ "adds": ["data:{}"] }))
        .step("load/read", "small", Some(Each::Table), json!({ "reads": ["data:{}"] }));
    sketch.settings.load.part_size = ByteSize(1 << 30);
    insta::assert_snapshot!(drawn(&graph(&sketch, &world)), @r"
    load/copy/bundle-0001 [public.t01 public.t02 public.t03 public.t04 public.t05]
    load/copy/bundle-0002 [public.t06 public.t07 public.t08 public.t09 public.t10]
    load/copy/bundle-0003 [public.t11 public.t12]
    load/copy/public.large#1
    load/copy/public.large#2
    load/read/bundle-0001 [public.t01 public.t02 public.t03 public.t04 public.t05] <- load/copy/bundle-0001
    load/read/bundle-0002 [public.t06 public.t07 public.t08 public.t09 public.t10] <- load/copy/bundle-0002
    load/read/bundle-0003 [public.t11 public.t12] <- load/copy/bundle-0003
    load/read/public.large
    ");
}

#[test]
fn a_bundle_never_holds_a_draft_that_must_run_between_its_others() {
    // The attached index needs the large one, which needs nothing; all are of one declared step.
    let mut world = World::new().table(1, "public.a");
    world = world.index(11, "public.i1", 1, false).index(12, "public.i2", 1, false);
    world = world.entry(21, "INDEX ATTACH", "public.j1", &[11]);
    world = world.entry(22, "INDEX ATTACH", "public.j2", &[12, 21]);
    let sketch =
        Sketch::new().step("load/index", "small", Some(Each::Index), json!({ "entry": true }));
    insta::assert_snapshot!(drawn(&graph(&sketch, &world)), @r"
    load/index/bundle-0001 [i1 i2]
    load/index/j1 <- load/index/bundle-0001
    load/index/j2 <- load/index/bundle-0001, load/index/j1
    ");
}

#[test]
fn what_uses_an_object_waits_for_its_creation_even_if_it_is_declared_before() {
    // The attached index belongs to a constraint, which a later step creates.
    let mut world = World::new().table(1, "public.a");
    world = world.index(11, "public.i1", 1, false).entry(12, "CONSTRAINT", "public.c1", &[1]);
    world = world.entry(21, "INDEX ATTACH", "public.j1", &[11, 12]);
    let sketch = Sketch::new()
        .step("load/index", "small", Some(Each::Index), json!({ "entry": true }))
        .step("load/constraint", "small", Some(Each::Constraint), json!({ "entry": true }));
    insta::assert_snapshot!(drawn(&graph(&sketch, &world)), @r"
    load/index/i1
    load/constraint/c1
    load/index/j1 <- load/constraint/c1, load/index/i1
    ");
}

#[test]
fn bundles_share_one_envelope() {
    let mut world = World::new();
    for n in 1..=4 {
        world = world.table(n, &format!("public.t{n}"));
    }
    let bundles = |before: &str| {
        let params = json!({ "before": before });
        let sketch = Sketch::new().step("load/copy", "small", Some(Each::Table), params);
        graph(&sketch, &world).steps().map(|step| (step.members.len(), step.before.len())).collect()
    };
    let (same, different): (Vec<_>, Vec<_>) = (bundles("lock"), bundles("lock {}"));
    assert_eq!(same, [(4, 1)]);
    assert_eq!(different, [(1, 1); 4]);
}

#[test]
fn chains_are_cut_at_a_hundred_and_wait_for_the_link_before() {
    let mut world = World::new();
    for n in 1..=240 {
        world = world.table(n, &format!("public.t{n:03}"));
    }
    let sketch = Sketch::new().step("schema/pre", "chain", Some(Each::Table), json!({}));
    let graph = graph(&sketch, &world);
    let sizes: Vec<usize> = graph.steps().map(|step| step.members.len()).collect();
    assert_eq!(sizes, [100, 100, 40]);
    let last = StepId::from("schema/pre/bundle-0003");
    assert!(graph.needs(&last).any(|need| need.0 == "schema/pre/bundle-0002"));
}

#[test]
fn a_step_takes_a_connection_to_each_server_that_it_talks_to() {
    let sketch = Sketch::new().step("one/sql", "alone", None, json!({ "sql": "select 1" })).step(
        "one/watch",
        "watch",
        None,
        json!({}),
    );
    let graph = graph(&sketch, &World::new());
    let taken: Vec<String> = graph
        .steps()
        .map(|step| serde_json::to_string(&step.resources.connections).unwrap())
        .collect();
    assert_eq!(taken, [r#"[["target",1]]"#, r#"[["source",1],["target",1]]"#]);
}

#[test]
fn a_digest_follows_what_a_step_does_and_not_what_it_waits_for() {
    let digest = |params: serde_json::Value| {
        let sketch = Sketch::new()
            .step("one/first", "alone", None, json!({ "writes": ["a:b"] }))
            .step("one/second", "alone", None, params);
        graph(&sketch, &World::new()).step(&"one/second".into()).unwrap().digest.0.clone()
    };
    let one = digest(json!({ "sql": "select 1", "reads": [] }));
    assert_eq!(one, digest(json!({ "reads": [], "sql": "select 1" })), "fields in another order");
    assert_ne!(one, digest(json!({ "sql": "select 2", "reads": [] })));
    assert_eq!(one.len(), 64);
}

#[test]
fn materialized_views_come_in_the_order_of_the_archive() {
    let mut world = World::new().table(1, "public.a").table(2, "public.b").table(3, "public.c");
    for table in &mut world.0.source.tables {
        table.kind = pgkedge_model::TableKind::MaterializedView;
    }
    for entry in &mut world.0.source.entries {
        entry.kind = "MATERIALIZED VIEW".into();
    }
    world.0.source.tables[1].populated = false;
    world.0.source.entries.reverse();
    let each = Some(Each::MaterializedView);
    let sketch = Sketch::new().step("finish/refresh", "alone", each, json!({}));
    insta::assert_snapshot!(drawn(&graph(&sketch, &world)), @r"
    finish/refresh/public.c
    finish/refresh/public.a
    ");
}

#[test]
fn partitions_follow_their_parent_and_the_parent_has_no_rows() {
    let world = World::new()
        .table(1, "public.p")
        .partition(2, "public.p1", "public.p")
        .partition(3, "public.p2", "public.p")
        .table(4, "public.other");
    let sketch = Sketch::new().groups(&[("first", &["public.p"]), ("rest", &["*"])]).step(
        "load/copy",
        "alone",
        Some(Each::Part),
        json!({}),
    );
    let compiled = sketch.compile(&world).unwrap();
    let groups = compiled.selection.groups;
    assert_eq!(groups[0].tables, [name("public.p"), name("public.p1"), name("public.p2")]);
    assert_eq!(groups[1].tables, [name("public.other")]);
    insta::assert_snapshot!(drawn(&compiled.graph), @r"
    load/copy/public.p1
    load/copy/public.p2
    load/copy/public.other
    ");
}

#[test]
fn what_belongs_to_an_excluded_table_stays_behind_with_it() {
    let world = World::new()
        .table(1, "public.kept")
        .table(2, "public.gone")
        .index(3, "public.kept_i", 1, false)
        .index(4, "public.gone_i", 2, false)
        .foreign_key(5, "gone_fk", 2, 1)
        .entry(6, "SEQUENCE", "public.gone_seq", &[2])
        .entry(7, "COMMENT", "public.gone_comment", &[4])
        .entry(8, "VIEW", "public.gone_view", &[2]);
    let sketch = Sketch::new()
        .exclude(&["public.gone", "public.gone_view"])
        .step("load/index", "alone", Some(Each::Index), json!({}))
        .step("load/keys", "alone", Some(Each::ForeignKey), json!({}));
    let compiled = sketch.compile(&world).unwrap_or_else(|findings| panic!("{findings:#?}"));
    assert_eq!(compiled.selection.excluded, [name("public.gone")]);
    insta::assert_snapshot!(drawn(&compiled.graph), @"load/index/kept_i");
}

#[test]
fn the_same_input_gives_the_same_graph() {
    let (sketch, world) = large();
    let json = || serde_json::to_string(&graph(&sketch, &world)).unwrap();
    assert_eq!(json(), json());
}

#[test]
fn thousands_of_tables_compile_at_once_and_become_hundreds_of_steps() {
    let (sketch, world) = large();
    let graph = graph(&sketch, &world);
    let members: usize = graph.steps().map(|step| step.members.len()).sum();
    let edges: usize = graph.nodes().map(|(id, _)| graph.needs(id).count()).sum();
    assert_eq!(members, 14_000);
    assert!(graph.steps().count() < 400, "{}", graph.steps().count());
    assert!(edges < 4_000, "{edges}");
}

/// 2,000 tables of 100 rows, with two indexes each and four more entries.
fn large() -> (Sketch, World) {
    let mut world = World::new();
    for n in 1..=2_000 {
        let table = format!("public.t{n}");
        world = world.table(n, &table);
        for (offset, kind) in [(10_000, "SEQUENCE"), (20_000, "DEFAULT"), (30_000, "ACL")] {
            world = world.entry(offset + n, kind, &format!("{table}_{offset}"), &[n]);
        }
    }
    for n in 1..=2_000 {
        for offset in [40_000, 50_000] {
            let index = format!("public.t{n}_{offset}");
            world = world.entry(offset + n, "INDEX", &index, &[n]);
        }
    }
    let sql = json!({ "adds": ["data:{}"], "sql": "copy {} from stdin" });
    let sketch = Sketch::new()
        .exclude(&[])
        .step("schema/pre", "chain", Some(Each::Table), json!({ "writes": ["entry:{}"] }))
        .step("load/copy", "small", Some(Each::Part), sql.clone())
        .step(
            "load/index",
            "small",
            Some(Each::Index),
            json!({ "entry": true, "sql": "create {}" }),
        )
        .step("load/analyze", "small", Some(Each::Table), json!({ "reads": ["data:{}"] }))
        .step("verify/tables", "small", Some(Each::Table), json!({ "reads": ["data:{}"] }))
        .step("verify/again", "small", Some(Each::Table), sql);
    (sketch, world)
}

#[test]
fn a_cycle_is_named_whole() {
    let barrier = |phase: &str| {
        let (phase, edge) = (PhaseName(phase.into()), PhaseEdge::Opened);
        GraphNode::Barrier(Barrier { phase, edge })
    };
    let nodes = vec![barrier("a"), barrier("b"), barrier("c"), barrier("d")];
    let edge = |from: &str, to: &str| (barrier(from).id(), BTreeSet::from([barrier(to).id()]));
    let needs = BTreeMap::from([edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("d", "a")]);
    let phases = ["a", "b", "c", "d"].map(|phase| PhaseName(phase.into()));
    let loose = Loose { nodes, needs };
    let finding = super::seal::prove(phases.to_vec(), loose).unwrap_err();
    insta::assert_snapshot!(finding.message, @"steps wait for one another: a/:opened → b/:opened → c/:opened → a/:opened");
    assert!(seal(Vec::new(), Loose::default()).is_ok());
}

#[test]
fn two_steps_of_one_id_are_refused() {
    let phase = PhaseName("a".into());
    let barrier = GraphNode::Barrier(Barrier { phase, edge: PhaseEdge::Opened });
    let loose = Loose { nodes: vec![barrier.clone(), barrier], needs: BTreeMap::new() };
    let finding = super::seal::prove(Vec::new(), loose).unwrap_err();
    assert_eq!(
        (finding.code.as_str(), finding.message.as_str()),
        ("compile::graph", "two steps are named `a/:opened`")
    );
}
