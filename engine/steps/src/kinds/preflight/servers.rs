//! What the two servers and databases are: versions, encodings, locales, limits.

use pgkedge_model::{Catalog, Finding, Server};

use super::{Question, on};

/// Major versions that a move is known to work from and to.
const KNOWN: std::ops::RangeInclusive<u32> = 10..=18;
/// Sessions beside those of steps: two locks, readers of probes, a status.
const OTHER_SESSIONS: u32 = 8;

pub(super) fn findings(question: &Question<'_>) -> Vec<Finding> {
    let source = &question.facts.source;
    let mut findings = Vec::new();
    findings.extend(version(Server::Source, source));
    findings.extend(connections(question, Server::Source, source));
    let Some(target) = &question.facts.target else { return findings };
    findings.extend(version(Server::Target, target));
    findings.extend(connections(question, Server::Target, target));
    findings.extend(downgrade(source, target));
    findings.extend(recovery(target));
    findings.extend(same_database(source, target));
    findings.extend(encoding(source, target));
    findings.extend(locale(source, target));
    findings.extend(connection_limit(question, source, target));
    findings.extend(locks(source, target));
    findings.extend(preload_libraries(source, target));
    findings.extend(event_triggers(target));
    findings.push(disk(source));
    findings
}

fn version(server: Server, catalog: &Catalog) -> Option<Finding> {
    let version = catalog.server.version;
    let (first, last) = (KNOWN.start(), KNOWN.end());
    (!KNOWN.contains(&version.major())).then(|| {
        let message = format!("the {server} is PostgreSQL {version}");
        Finding::error("server::unknown_version", message)
            .at(on(server))
            .help(format!("pgkedge knows versions {first} to {last}"))
    })
}

fn downgrade(source: &Catalog, target: &Catalog) -> Option<Finding> {
    let (from, to) = (source.server.version.major(), target.server.version.major());
    (to < from).then(|| {
        let message = format!("the source is PostgreSQL {from} and the target an older {to}");
        Finding::error("target::older_than_source", message)
            .at(on(Server::Target))
            .help(format!("use a target of version {from} or later"))
    })
}

fn recovery(target: &Catalog) -> Option<Finding> {
    target.server.in_recovery.then(|| {
        Finding::error("target::in_recovery", "the target is a replica and cannot be written")
            .at(on(Server::Target))
            .help("give the URL of its primary, or promote it: `select pg_promote()`")
    })
}

fn same_database(source: &Catalog, target: &Catalog) -> Option<Finding> {
    let identity = |catalog: &Catalog| {
        (catalog.server.system_identifier.clone(), catalog.database.name.clone())
    };
    (identity(source) == identity(target)).then(|| {
        let name = &target.database.name;
        let message = format!("source and target are the same database, {name}");
        Finding::error("target::same_database", message)
            .at(on(Server::Target))
            .help("check the two URLs under `databases`")
    })
}

/// Text is converted on its way only where each of its characters has a place in the target.
fn encoding(source: &Catalog, target: &Catalog) -> Option<Finding> {
    let (from, to) = (source.database.encoding.as_str(), target.database.encoding.as_str());
    let is_convertible = to == "UTF8" && !matches!(from, "SQL_ASCII" | "MULE_INTERNAL");
    (from != to && !is_convertible).then(|| {
        let message = format!("text in {from} cannot be taken as it is by a database in {to}");
        let wanted = if from == "SQL_ASCII" { "SQL_ASCII" } else { "UTF8" };
        Finding::error("target::encoding", message).at(on(Server::Target)).help(format!(
            "create the target as `create database … encoding '{wanted}' template template0`"
        ))
    })
}

fn locale(source: &Catalog, target: &Catalog) -> Option<Finding> {
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "");
    let described = |catalog: &Catalog| {
        let database = &catalog.database;
        let provider = match database.locale_provider.as_str() {
            "i" => "icu",
            "b" => "builtin",
            _ => "libc",
        };
        let icu = database.icu_locale.as_deref().unwrap_or_default();
        (plain(&database.collate), plain(&database.ctype), provider, icu.to_owned())
    };
    let (from, to) = (described(source), described(target));
    (from != to).then(|| {
        let shown = |of: &(String, String, &str, String)| {
            format!("{} / {} ({} {})", of.0, of.1, of.2, of.3).replace(" )", ")")
        };
        let message = format!(
            "text sorts by {} on the source and by {} on the target",
            shown(&from),
            shown(&to)
        );
        Finding::warning("target::locale", message).at(on(Server::Target)).help(
            "queries may return rows in another order, and unique indexes may see other \
             duplicates; create the target with the source's locale if that matters",
        )
    })
}

fn number(catalog: &Catalog, name: &str) -> Option<u32> {
    catalog.server.settings.get(name)?.parse().ok()
}

/// Sessions that the plan may open on a server.
pub(super) fn wanted_sessions(question: &Question<'_>, server: Server) -> u32 {
    let limits = &question.settings.limits;
    let steps = match server {
        Server::Source | Server::Replica => limits.source_connections,
        Server::Target => limits.target_connections,
    };
    u32::from(steps) + OTHER_SESSIONS
}

fn connections(question: &Question<'_>, server: Server, catalog: &Catalog) -> Option<Finding> {
    let most = number(catalog, "max_connections")?;
    let reserved = number(catalog, "superuser_reserved_connections").unwrap_or(0)
        + number(catalog, "reserved_connections").unwrap_or(0);
    let wanted = wanted_sessions(question, server);
    (wanted > most.saturating_sub(reserved)).then(|| {
        let message = format!(
            "the plan may take {wanted} connections of the {server}, which has {most}, \
             {reserved} of them reserved"
        );
        Finding::error("server::too_few_connections", message)
            .at(on(server))
            .help(format!("lower `limits.{server}_connections`, or raise max_connections"))
    })
}

/// A limit that is copied holds for pgkedge's own sessions too.
fn connection_limit(
    question: &Question<'_>,
    source: &Catalog,
    target: &Catalog,
) -> Option<Finding> {
    let limit = u32::try_from(source.database.connection_limit).ok()?;
    let wanted = wanted_sessions(question, Server::Target);
    (limit < wanted && !target.server.session_role.superuser).then(|| {
        let message = format!(
            "the source database allows {limit} connections, and so will the target; the plan may \
             take {wanted}"
        );
        Finding::warning("target::connection_limit", message)
            .at(on(Server::Target))
            .help("lower `limits.target_connections`, or raise the limit of the source database")
    })
}

/// A snapshot of the schema, and each statement on a partitioned table, locks many tables at once.
fn locks(source: &Catalog, target: &Catalog) -> Vec<Finding> {
    let relations = source.tables.len() + source.indexes.len();
    let mut findings = Vec::new();
    for (server, catalog, held) in
        [(Server::Source, source, source.tables.len()), (Server::Target, target, relations)]
    {
        let setting = |name| number(catalog, name).unwrap_or(0) as usize;
        let slots = setting("max_locks_per_transaction")
            * (setting("max_connections") + setting("max_prepared_transactions"));
        if slots > 0 && held > slots {
            let message = format!(
                "{held} tables and indexes may be locked at once on the {server}, which has room \
                 for about {slots}"
            );
            let finding = Finding::warning("server::locks", message).at(on(server));
            findings.push(finding.help("raise max_locks_per_transaction and restart that server"));
        }
    }
    findings
}

fn preload_libraries(source: &Catalog, target: &Catalog) -> Option<Finding> {
    let libraries = |catalog: &Catalog| -> Vec<String> {
        ["shared_preload_libraries", "session_preload_libraries"]
            .iter()
            .filter_map(|name| catalog.server.settings.get(*name))
            .flat_map(|list| list.split(','))
            .map(|name| name.trim().trim_matches('"').to_owned())
            .filter(|name| !name.is_empty())
            .collect()
    };
    let there = libraries(target);
    let missing: Vec<String> =
        libraries(source).into_iter().filter(|library| !there.contains(library)).collect();
    (!missing.is_empty()).then(|| {
        let names = super::listed(&missing);
        let message = format!("the source preloads {names}, the target does not");
        Finding::note("target::preload_libraries", message)
            .at(on(Server::Target))
            .help("add them to shared_preload_libraries if your extensions need them")
    })
}

fn event_triggers(target: &Catalog) -> Option<Finding> {
    let triggers = &target.database.event_triggers;
    (!triggers.is_empty()).then(|| {
        let message =
            format!("event triggers of the target will fire: {}", super::listed(triggers));
        Finding::warning("target::event_triggers_fire", message)
            .at(on(Server::Target))
            .help("`alter event trigger … disable` until the run is over")
    })
}

fn disk(source: &Catalog) -> Finding {
    let mebibytes = source.database.bytes.div_ceil(1 << 20);
    let message = format!(
        "the source database takes {mebibytes} MiB; a server does not tell how much room it has"
    );
    Finding::note("target::disk", message).at(on(Server::Target)).help(
        "make sure that the target has that much, and as much again as its largest index for \
         sorting",
    )
}
