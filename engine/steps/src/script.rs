//! What most kinds do: send their script, ask the ledger, send the undo.

use pgkedge_model::{
    Call, Failure, FailureClass, Finding, Object, OutputOf, Piece, Probe, QuotedAs, Server,
    Session, Statement, Transaction, Undo,
};
use pgkedge_postgres::{Pooled, Sql};
use pgkedge_render::Block;
use serde::Serialize;
use serde_json::Value;

use crate::context::StepContext;
use crate::fill::{Fill, Observed};
use crate::guarded::Guarded;

/// The longest piece of a statement that a failure quotes.
const QUOTED: usize = 2_000;

/// Renders a block of the kind's template to statements of the guarded transaction.
pub(crate) fn guarded(
    kind: &str,
    block: Block,
    context: &impl Serialize,
) -> Result<Vec<Statement>, Vec<Finding>> {
    statements(kind, block, context, |text| Statement {
        on: Server::Target,
        session: Session::Sql,
        transaction: Transaction::Guarded,
        text,
    })
}

/// Renders a block of the kind's template to statements that are sent as they are.
pub(crate) fn alone(
    on: Server,
    kind: &str,
    block: Block,
    context: &impl Serialize,
) -> Result<Vec<Statement>, Vec<Finding>> {
    statements(kind, block, context, |text| Statement {
        on,
        session: Session::Sql,
        transaction: Transaction::Alone,
        text,
    })
}

fn statements(
    kind: &str,
    block: Block,
    context: &impl Serialize,
    make: impl Fn(Vec<Piece>) -> Statement,
) -> Result<Vec<Statement>, Vec<Finding>> {
    let rendered = pgkedge_render::step(kind, block, context).map_err(|error| {
        let mut message = format!("the template of `{kind}` cannot be filled: {error}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        vec![Finding::error("steps::template", message)]
    })?;
    Ok(rendered.into_iter().map(make).collect())
}

/// Sends the script: guarded statements in one transaction, others as they come.
pub(crate) async fn run(
    context: &StepContext,
    call: &Call,
    observed: &Observed,
) -> Result<Value, Failure> {
    match send(context, call, observed).await {
        // An earlier attempt that lost its connection may have committed in the meantime.
        Err(failure) if call.attempt > 1 => match probe(context, call).await {
            Ok(Probe::Applied(output)) => Ok(output),
            _ => Err(observed.redacted(failure)),
        },
        Err(failure) => Err(observed.redacted(failure)),
        Ok(()) => Ok(Value::Null),
    }
}

async fn send(context: &StepContext, call: &Call, observed: &Observed) -> Result<(), Failure> {
    let node = &call.node;
    let mut script: Vec<(&str, &Statement)> = Vec::new();
    script.extend(node.before.iter().map(|statement| ("", statement)));
    for member in &node.members {
        script.extend(member.run.iter().map(|statement| (member.key.as_str(), statement)));
    }
    script.extend(node.after.iter().map(|statement| ("", statement)));

    let is_guarded =
        |(_, statement): &(&str, &Statement)| statement.transaction == Transaction::Guarded;
    let first = script.iter().position(is_guarded);
    let last = script.iter().rposition(is_guarded);
    let (Some(first), Some(last)) = (first, last) else {
        return send_alone(context, call, observed, &script).await;
    };
    send_alone(context, call, observed, &script[..first]).await?;
    send_guarded(context, call, observed, &script[first..=last]).await?;
    send_alone(context, call, observed, &script[last + 1..]).await
}

/// The guarded statements of a step, in one transaction with the ledger rows of its members.
async fn send_guarded(
    context: &StepContext,
    call: &Call,
    observed: &Observed,
    script: &[(&str, &Statement)],
) -> Result<(), Failure> {
    let fill = Fill { call, tag: context.tag(), observed };
    let mut session = context.sql(Server::Target).await?;
    let texts: Vec<String> = script
        .iter()
        .map(|(member, statement)| fill.text(member, statement))
        .collect::<Result<_, Failure>>()?;
    let mut transaction = Guarded::begin(&mut *session, context.ledger()).await?;
    if let Err((at, failure)) = transaction.execute_all(&texts).await {
        transaction.rollback().await;
        return Err(script
            .get(at)
            .map_or(failure.clone(), |(member, statement)| explained(failure, member, statement)));
    }
    let members: Vec<(&str, Option<u64>)> =
        call.node.members.iter().map(|member| (member.key.as_str(), None)).collect();
    transaction.commit(call, &members).await
}

async fn send_alone(
    context: &StepContext,
    call: &Call,
    observed: &Observed,
    script: &[(&str, &Statement)],
) -> Result<(), Failure> {
    let fill = Fill { call, tag: context.tag(), observed };
    let mut session: Option<(Server, Pooled<Sql>)> = None;
    for (member, statement) in script {
        let text = fill.text(member, statement)?;
        let on = statement.on;
        let open = match session.take() {
            Some((server, open)) if server == on => open,
            _ => context.sql(on).await?,
        };
        open.execute(&text).await.map_err(|failure| explained(failure, member, statement))?;
        session = Some((on, open));
    }
    Ok(())
}

/// Names the member and the statement that a failure came from, without what was filled in.
pub(crate) fn explained(failure: Failure, member: &str, statement: &Statement) -> Failure {
    let mut shown = statement.shown();
    if shown.len() > QUOTED {
        let cut = (0..=QUOTED).rev().find(|&at| shown.is_char_boundary(at)).unwrap_or(0);
        shown.truncate(cut);
        shown.push('…');
    }
    let failure =
        if member.is_empty() { failure } else { failure.detail(format!("while at: {member}")) };
    failure.detail(format!("statement on the {}: {shown}", statement.on))
}

/// `set transaction snapshot`, with the snapshot that a service holds.
pub(crate) fn snapshot_import() -> Vec<Piece> {
    let of = OutputOf::Writer(Object::new("snapshot", Server::Source));
    let id = Piece::Output { of, field: "id".to_owned(), quoted_as: QuotedAs::Literal };
    vec![Piece::sql("set transaction snapshot "), id]
}

/// A snapshot that nobody holds any more: the service takes a new one, and the next attempt has it.
pub(crate) fn snapshot_gone(mut failure: Failure, statement: &Statement) -> Failure {
    if matches!(failure.sqlstate.as_deref(), Some("22023" | "42704" | "55000")) {
        failure.class = FailureClass::Transient;
    }
    explained(failure, "", statement)
}

/// Asks the ledger: a step holds when each of its members has a row of this generation.
///
/// A step without guarded statements has no rows, so that it is absent and runs again: it only
/// reads, or says itself how it probes.
pub(crate) async fn probe(context: &StepContext, call: &Call) -> Result<Probe, Failure> {
    let is_guarded = |statement: &Statement| statement.transaction == Transaction::Guarded;
    if !call.node.statements().any(is_guarded) {
        return Ok(Probe::Absent);
    }
    let effects = effects(context, call).await?;
    let held = call.node.members.iter().all(|member| effects.contains_key(&member.key));
    Ok(if held { Probe::Applied(Value::Null) } else { Probe::Absent })
}

/// The ledger rows of a step, by member; none where there is no ledger.
pub(crate) async fn effects(
    context: &StepContext,
    call: &Call,
) -> Result<std::collections::BTreeMap<String, Option<u64>>, Failure> {
    let session = context.read(Server::Target).await?;
    if !context.ledger().exists(&session).await? {
        return Ok(std::collections::BTreeMap::new());
    }
    context.ledger().effects(&session, &call.node.id.0, call.generation).await
}

/// Sends the undo statements of all members, last one first, and takes their ledger rows back.
pub(crate) async fn undo(context: &StepContext, call: &Call) -> Result<(), Failure> {
    undo_with(context, call, &Observed::default()).await
}

/// As `undo`, with values that the statements leave open.
pub(crate) async fn undo_with(
    context: &StepContext,
    call: &Call,
    observed: &Observed,
) -> Result<(), Failure> {
    let script = undo_script(call)?;
    if script.is_empty() {
        let guarded = |statement: &Statement| statement.transaction == Transaction::Guarded;
        let has_rows = call.node.statements().any(guarded);
        // A step that is done again must not find the rows of the time before.
        return if has_rows { forget(context, call).await } else { Ok(()) };
    }
    let (guarded, alone): (Vec<_>, Vec<_>) = script
        .into_iter()
        .partition(|(_, statement)| statement.transaction == Transaction::Guarded);
    send_alone(context, call, observed, &alone).await?;
    undo_guarded(context, call, observed, &guarded).await
}

/// Takes a step's ledger rows back, where what they stand for is gone already.
pub(crate) async fn forget(context: &StepContext, call: &Call) -> Result<(), Failure> {
    let reader = context.read(Server::Target).await?;
    if !context.ledger().exists(&reader).await? {
        return Ok(());
    }
    drop(reader);
    let mut session = context.sql(Server::Target).await?;
    let transaction = Guarded::begin(&mut *session, context.ledger()).await?;
    transaction.finish(&context.ledger().forget_sql(&call.node.id.0)).await
}

fn undo_script(call: &Call) -> Result<Vec<(&str, &Statement)>, Failure> {
    let mut script = Vec::new();
    for member in call.node.members.iter().rev() {
        match &member.undo {
            Undo::Nothing => {}
            Undo::Statements(statements) => {
                script.extend(statements.iter().map(|statement| (member.key.as_str(), statement)));
            }
            Undo::Irreversible(reason) => {
                let step = &call.node.id;
                return Err(Failure::permanent(format!("{step} cannot be taken back: {reason}")));
            }
        }
    }
    Ok(script)
}

async fn undo_guarded(
    context: &StepContext,
    call: &Call,
    observed: &Observed,
    script: &[(&str, &Statement)],
) -> Result<(), Failure> {
    if script.is_empty() {
        return Ok(());
    }
    let reader = context.read(Server::Target).await?;
    let guarded = context.ledger().exists(&reader).await?;
    drop(reader);
    if !guarded {
        // The ledger went with an earlier undo: nobody else can have taken over since.
        return undo_plain(context, call, observed, script).await;
    }
    let fill = Fill { call, tag: context.tag(), observed };
    let mut session = context.sql(Server::Target).await?;
    let mut transaction = Guarded::begin(&mut *session, context.ledger()).await?;
    for (member, statement) in script {
        let sent = match fill.text(member, statement) {
            Ok(text) => transaction.execute(&text).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = sent {
            transaction.rollback().await;
            return Err(explained(failure, member, statement));
        }
    }
    let forget = context.ledger().forget_sql(&call.node.id.0);
    transaction.finish(&forget).await
}

async fn undo_plain(
    context: &StepContext,
    call: &Call,
    observed: &Observed,
    script: &[(&str, &Statement)],
) -> Result<(), Failure> {
    let fill = Fill { call, tag: context.tag(), observed };
    let session = context.sql(Server::Target).await?;
    session.execute("begin").await?;
    for (member, statement) in script {
        let text = fill.text(member, statement)?;
        session.execute(&text).await.map_err(|failure| explained(failure, member, statement))?;
    }
    session.execute("commit").await
}
