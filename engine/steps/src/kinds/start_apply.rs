//! Creates the subscription of a slot on the target, from the position where the load has ended.

mod checks;
#[cfg(test)]
pub(crate) mod tests;

use pgkedge_model::{
    Call, Draft, Each, Expansion, Failure, FailureClass, Finding, Fold, Item, Leaves, Lsn, Member,
    Object, Script, Server, Slot, Touch, Undo,
};
use pgkedge_postgres::Conninfo;
use pgkedge_render::Block;
use serde_json::{Value, json};

use crate::context::StepContext;
use crate::fill::{Observed, given};
use crate::script;
use crate::slots::publications;
use crate::step::{NoParams, Step};
use crate::streams::{Stream, target_seen};

/// What the secret of the connection string is called.
const CONNECTION: &str = "connection string of the source";

pub(crate) struct StartApply;

impl Step for StartApply {
    const KIND: &'static str = "start_apply";
    const ABOUT: &'static str =
        "Subscribes the target to a slot, from exactly where its load has ended.";
    const LEAVES: Leaves = Leaves::Scaffold;
    const EACH: &'static [Each] = &[Each::Slot];
    const SERVERS: &'static [Server] = &[Server::Source];
    type Params = NoParams;

    fn expand(_: &NoParams, expansion: &Expansion<'_>) -> Result<Vec<Draft>, Vec<Finding>> {
        let Item::Slot(slot) = expansion.item else { return Ok(Vec::new()) };
        let context = template_context(slot, expansion);
        let read = |kind: &str, name: &str| Touch::read(Object::new(kind, name));
        let mut touches = vec![
            Touch::write(Stream::from(slot).object()),
            read("slot_hand_off", slot.name.as_str()),
            read("slot", slot.name.as_str()),
        ];
        touches.extend(slot.sets.iter().map(|set| read("publication", set.name.as_str())));
        Ok(vec![Draft {
            key: slot.name.as_str().to_owned(),
            params: json!(slot),
            touches,
            script: Script {
                run: script::guarded(Self::KIND, Block::Run, &context)?,
                undo: Undo::Statements(script::guarded(Self::KIND, Block::Undo, &context)?),
                ..Script::default()
            },
            cost: 0,
            fold: Fold::Alone,
            stops: None,
        }])
    }

    async fn observe(context: &StepContext, call: &Call) -> Result<Observed, Failure> {
        let mut observed = Observed::default();
        for member in &call.node.members {
            let slot: Slot = context.member(&call.node, member)?;
            checks::source(context, &slot, position(call, member)?).await?;
            checks::target(context, &slot).await?;
            let Conninfo { text, password } = context.endpoint(Server::Source)?.conninfo().await?;
            checks::role(context, password.is_some()).await?;
            if password.is_some() {
                let name = Stream::from(&slot).subscription(context.tag());
                call.reporter.waiting(&format!(
                    "nothing; but pg_subscription of the target holds the source's password until \
                     `{name}` is dropped: change the password after that"
                ));
            }
            observed.set_secret(&member.key, CONNECTION, Some(text));
            // Named only so that it is taken out of what the servers say.
            observed.set_secret(&member.key, "password of the source", password);
        }
        Ok(observed)
    }

    async fn run(context: &StepContext, call: &Call) -> Result<Value, Failure> {
        let observed = Self::observe(context, call).await?;
        let made = script::run(context, call, &observed).await;
        let made = made.map_err(|failure| explained(context, failure))?;
        for member in &call.node.members {
            let slot: Slot = context.member(&call.node, member)?;
            checks::origin(context, &slot, position(call, member)?).await?;
        }
        Ok(made)
    }

    async fn undo(context: &StepContext, call: &Call) -> Result<(), Failure> {
        for member in &call.node.members {
            let slot: Slot = context.member(&call.node, member)?;
            let name = Stream::from(&slot).subscription(context.tag());
            let session = context.read(Server::Target).await?;
            if target_seen(&session, &[name]).await?.is_empty() {
                return script::forget(context, call).await;
            }
        }
        script::undo(context, call).await
    }
}

fn template_context(slot: &Slot, expansion: &Expansion<'_>) -> Value {
    let facts = expansion.facts;
    let is_superuser =
        facts.target.as_ref().is_some_and(|target| target.server.session_role.superuser);
    // A worker that takes the owner's role cannot write where the owner's own policies bind him.
    let is_forced = |name| {
        let table = expansion.source.tables_by_name.get(name);
        table.is_some_and(|table| table.row_security && table.force_row_security)
    };
    let mut tables = slot.sets.iter().flat_map(|set| &set.tables);
    json!({
        "slot": slot.name,
        "existing": slot.existing,
        "publications": publications(&slot.sets),
        "connection": CONNECTION,
        "quiet": is_superuser,
        "target": facts.target_version().major(),
        "run_as_owner": tables.any(is_forced),
    })
}

/// Where the slot's changes start: the output of the step that has proved it.
fn position(call: &Call, member: &Member) -> Result<Lsn, Failure> {
    let text = given(call, member, "lsn").and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        Failure::permanent(format!("{}: no position to start from was handed over", call.node.id))
    })
}

/// What else to do about a subscription that cannot be created.
fn explained(context: &StepContext, mut failure: Failure) -> Failure {
    match failure.sqlstate.as_deref() {
        Some("42501") => failure.help(privileges(context)),
        Some("08001" | "08006") => {
            failure.class = FailureClass::Operator;
            failure.help(
                "the target's server must reach the source by itself: say how in \
                 `databases.source.from_target.url`, and let it in by pg_hba.conf of the source",
            )
        }
        _ => failure,
    }
}

/// What a role needs that is no superuser.
fn privileges(context: &StepContext) -> String {
    let Some(target) = &context.facts().target else {
        return "name a superuser in `databases.target.url`".to_owned();
    };
    let (role, database) = (&target.server.session_role.name, &target.database.name);
    if target.server.version.major() < 16 {
        return "name a superuser in `databases.target.url`: before PostgreSQL 16 no other role may \
                create subscriptions"
            .to_owned();
    }
    format!(
        "on the target: grant pg_create_subscription to {role}; grant create on database \
         {database} to {role}; grant execute on function \
         pg_catalog.pg_replication_origin_advance(text, pg_lsn) to {role}"
    )
}
