//! Creates the objects of one section of the archive, in its order.

mod part;
mod public_schema;

use std::collections::BTreeSet;

use pgkedge_model::{
    Call, Draft, Entry, Expansion, Failure, Finding, Fold, Leaves, Object, Script, SecretString,
    Section, Server, Touch, Undo, quote_literal,
};
use pgkedge_render::Block;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use self::part::late_tables;
use self::part::{SchemaPart, Sorter};
use crate::context::StepContext;
use crate::fill::Observed;
use crate::step::Step;
use crate::{archive, drop, script};

pub(crate) struct CopySchema;

/// Which entries of the archive are created.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// `pre-data` is what rows need, `post-data` what is better created after them.
    section: Section,
    /// Leaves these out, for other steps.
    #[serde(default)]
    without: Vec<SchemaPart>,
    /// Creates these alone.
    #[serde(default)]
    only: Option<Vec<SchemaPart>>,
}

/// What is known of a member at run time.
#[derive(Debug, Default, Serialize, Deserialize)]
struct MemberParams {
    /// The user mapping whose options are read from the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_mapping: Option<UserMapping>,
}

/// A user mapping by its names: the archive has no OID of it.
#[derive(Debug, Serialize, Deserialize)]
struct UserMapping {
    /// `public` is everyone.
    role: String,
    server: String,
}

impl UserMapping {
    fn of(entry: &Entry) -> Option<Self> {
        let mapping = drop::user_mapping(entry)?.strip_prefix("FOR ")?;
        let (role, server) = archive::split_once(mapping, " SERVER ")?;
        Some(Self { role: archive::unquoted(role), server: archive::unquoted(server) })
    }
}

/// What the secret of a user mapping's options is called.
const OPTIONS: &str = "options of the user mapping";

impl Step for CopySchema {
    const KIND: &'static str = "copy_schema";
    const ABOUT: &'static str = "Creates the objects of one section of the source's schema.";
    const LEAVES: Leaves = Leaves::Result;
    type Params = Params;

    fn expand(params: &Params, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let mut drafts = Vec::new();
        if params.section == Section::PreData && params.only.is_none() {
            drafts.extend(public_schema::drop_empty(expansion));
        }
        let sorter = Sorter::new(expansion);
        let chosen = chosen(params, expansion, &sorter);
        let numbers: BTreeSet<u32> = chosen.iter().map(|entry| entry.number).collect();
        drafts.reserve(chosen.len());
        for entry in chosen {
            drafts.extend(draft(entry, &numbers, expansion, &sorter)?);
        }
        Ok(drafts)
    }

    async fn observe(context: &StepContext, call: &Call) -> Result<Observed, Failure> {
        let mut observed = Observed::default();
        for member in &call.node.members {
            let params: Option<MemberParams> = context.member(&call.node, member)?;
            if let Some(mapping) = params.and_then(|params| params.user_mapping) {
                let options = mapping_options(context, &mapping).await?;
                observed.set_secret_sql(&member.key, OPTIONS, options);
            }
        }
        Ok(observed)
    }
}

/// Entries of the section and of the wanted parts, without those of excluded tables.
fn chosen<'a>(
    params: &Params,
    expansion: &Expansion<'a>,
    sorter: &Sorter<'a, '_>,
) -> Vec<&'a Entry> {
    let by_number = |number: u32| expansion.source.entries.get(&number).copied();
    let wants_post = params.section == Section::PostData;
    let is_wanted = |entry: &&'a Entry| {
        let is_named = |parts: &[SchemaPart]| sorter.is_named(parts, entry);
        sorter.of(entry) != SchemaPart::Subscriptions
            && !is_named(&params.without)
            && params.only.as_deref().is_none_or(is_named)
            && !expansion.excluded_entries.contains(&entry.number)
    };
    expansion
        .facts
        .source
        .entries
        .iter()
        .filter(|entry| archive::is_post_data(entry, &by_number) == wants_post)
        .filter(is_wanted)
        .collect()
}

/// Owners and grantees must be there before; which entry names which role only its text knows.
fn touches(entry: &Entry, sorter: &Sorter<'_, '_>) -> Vec<Touch> {
    let mut touches = archive::touches(entry);
    touches.push(Touch::read(Object::new("roles", Server::Target)));
    touches.extend(sorter.rows_before(entry));
    touches
}

/// The draft of one entry; none where nothing is to be done.
fn draft(
    entry: &Entry,
    chosen: &BTreeSet<u32>,
    expansion: &Expansion<'_>,
    sorter: &Sorter<'_, '_>,
) -> Result<Option<Draft>, Vec<Finding>> {
    let statements = statements(entry, expansion);
    if statements.is_empty() {
        return Ok(None);
    }
    let major = expansion.facts.target_version().major();
    let withheld = is_withheld(entry);
    let context = json!({
        "settings": archive::settings(entry, major),
        "statements": statements,
        "withheld": withheld.then_some(OPTIONS),
        "undo": undo(entry, chosen, expansion),
    });
    let user_mapping = UserMapping::of(entry).filter(|_| withheld);
    Ok(Some(Draft {
        key: archive::key(entry, expansion.source),
        params: match user_mapping {
            Some(_) => json!(MemberParams { user_mapping }),
            None => Value::Null,
        },
        touches: touches(entry, sorter),
        script: Script {
            run: script::guarded(CopySchema::KIND, Block::Run, &context)?,
            undo: match script::guarded(CopySchema::KIND, Block::Undo, &context)? {
                statements if statements.is_empty() => Undo::Nothing,
                statements => Undo::Statements(statements),
            },
            ..Script::default()
        },
        cost: 0,
        fold: Fold::Chain,
        stops: None,
    }))
}

/// What is sent for an entry: the archive's statements, without those that the target has no use for.
fn statements(entry: &Entry, expansion: &Expansion<'_>) -> Vec<String> {
    if is_comment_on_foreign_extension(entry, expansion) {
        return Vec::new();
    }
    let has_public = public_schema::is_there(expansion);
    let creates_public = |sql: &&String| {
        public_schema::is_entry(entry) && sql.starts_with("CREATE SCHEMA ") && has_public
    };
    entry.statements.iter().filter(|sql| !creates_public(sql)).cloned().collect()
}

/// The comment of an extension belongs to the extension's owner. Where the target has it already
/// that is somebody else, and the comment is the extension's own.
fn is_comment_on_foreign_extension(entry: &Entry, expansion: &Expansion<'_>) -> bool {
    let Some(target) = &expansion.facts.target else { return false };
    entry.kind == "COMMENT"
        && entry.name.strip_prefix("EXTENSION ").is_some_and(|name| {
            let name = name.trim_matches('"');
            !target.server.session_role.superuser
                && target.extensions.iter().any(|extension| extension.name == name)
        })
}

fn undo(entry: &Entry, chosen: &BTreeSet<u32>, expansion: &Expansion<'_>) -> Vec<String> {
    // The trigger of the partitioned table is another step's, and stays when this one is undone.
    let stays = !entry.depends.iter().any(|need| chosen.contains(need));
    if let Some(switched) = part::switched_back(entry).filter(|_| stays) {
        return vec![switched];
    }
    if public_schema::is_entry(entry) || public_schema::is_attached_to_it(entry) {
        return public_schema::restore(entry, expansion);
    }
    if was_there(entry, expansion) {
        return Vec::new();
    }
    if entry.kind == "ACL" && !is_on_created(entry, expansion) {
        return drop::inverted(entry);
    }
    drop::statements(entry, expansion.facts.target_version().major())
}

/// Grants go with the object that they are on, unless that was there before: the system's own.
fn is_on_created(entry: &Entry, expansion: &Expansion<'_>) -> bool {
    let on = entry.depends.iter().filter_map(|number| expansion.source.entries.get(number));
    on.copied().any(|on| !was_there(on, expansion))
}

/// Extensions and schemas that the target had before stay when the move is taken back.
fn was_there(entry: &Entry, expansion: &Expansion<'_>) -> bool {
    let Some(target) = &expansion.facts.target else { return false };
    match entry.kind.as_str() {
        "EXTENSION" => target.extensions.iter().any(|extension| extension.name == entry.name),
        "SCHEMA" => target.schemas.iter().any(|schema| schema.as_str() == entry.name),
        _ => false,
    }
}

/// Whether the options of a user mapping were kept out of the catalog.
fn is_withheld(entry: &Entry) -> bool {
    entry.kind == "USER MAPPING"
        && entry.settings.iter().any(|(name, _)| name == pgkedge_postgres::WITHHELD_OPTIONS)
}

/// `options (…)` of a user mapping, as the source has it now.
async fn mapping_options(
    context: &StepContext,
    mapping: &UserMapping,
) -> Result<SecretString, Failure> {
    let (role, server) = (quote_literal(&mapping.role), quote_literal(&mapping.server));
    let session = context.read(Server::Source).await?;
    let rows = session
        .rows(&format!(
            "select o.option_name, o.option_value from pg_catalog.pg_user_mappings m, \
             pg_catalog.pg_options_to_table(m.umoptions) o \
             where m.usename = {role} and m.srvname = {server} order by 1"
        ))
        .await?;
    let options: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let name = pgkedge_model::Ident::new(row.get(0)?).ok()?;
            Some(format!("{name} {}", quote_literal(row.get(1).unwrap_or_default())))
        })
        .collect();
    if options.is_empty() {
        return Err(Failure::new(
            pgkedge_model::FailureClass::Operator,
            "the options of a user mapping cannot be read on the source",
        )
        .help(
            "let the source's role be a superuser, or exclude the foreign tables of its server",
        ));
    }
    Ok(SecretString::from(format!("options ({})", options.join(", "))))
}

#[cfg(test)]
#[path = "copy_schema/tests.rs"]
mod tests;
