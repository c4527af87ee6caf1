//! What the kinds that compare share: sessions, digest plans, and the failure that differences are.

use pgkedge_model::{Failure, FailureClass, Server, Table, VerifyMethod};
use pgkedge_postgres::{Pooled, Sql};
use pgkedge_verify::{Comparison, Difference, DigestPlan, Sides, settle};
use serde_json::{Value, json};

use crate::context::StepContext;

/// Differences that a failure tells, at most; the first ones are the closest to the cause.
const TOLD: usize = 200;
/// Objects that the message itself names, at most.
const NAMED: usize = 5;

/// A session to read on each side.
pub(crate) struct Readers {
    source: Pooled<Sql>,
    target: Pooled<Sql>,
}

impl Readers {
    pub(crate) async fn open(context: &StepContext) -> Result<Self, Failure> {
        Self::open_on(context, Server::Source).await
    }

    /// Reads what the source holds on another server that has it: the replica.
    pub(crate) async fn open_on(context: &StepContext, server: Server) -> Result<Self, Failure> {
        let source = context.read(server).await?;
        let target = context.read(Server::Target).await?;
        Ok(Self { source, target })
    }

    pub(crate) fn sides(&self) -> Sides<'_> {
        Sides { source: &self.source, target: &self.target }
    }

    /// The session that reads what the source holds.
    pub(crate) fn source(&mut self) -> &mut Sql {
        &mut self.source
    }

    /// The fastest way of comparing these tables that both servers agree on.
    pub(crate) async fn plan(
        &self,
        context: &StepContext,
        tables: &[&Table],
        method: VerifyMethod,
    ) -> Result<DigestPlan, Failure> {
        let encodings = [encoding(&self.source).await?, encoding(&self.target).await?];
        let versions = [self.source.server_version(), self.target.server_version()];
        // The tag of a run is random, and the same after a resume.
        let seed = i64::from_str_radix(&context.tag().0, 16).unwrap_or_default();
        let plan = DigestPlan::new(seed, method, versions, [&encodings[0], &encodings[1]]);
        if method == VerifyMethod::Count {
            return Ok(plan);
        }
        let tables = tables.iter().copied();
        settle(self.sides(), tables, &context.facts().source.types, plan).await
    }
}

async fn encoding(session: &Sql) -> Result<String, Failure> {
    let rows = session.rows("select pg_catalog.getdatabaseencoding()").await?;
    let encoding = rows.first().and_then(|row| row.get(0));
    encoding.map(str::to_owned).ok_or_else(|| Failure::permanent("a server has no encoding"))
}

/// The output of a comparison without differences, or the failure that they are.
pub(crate) fn outcome(subject: &str, found: &Comparison) -> Result<Value, Failure> {
    if found.is_equal() {
        let notes: Vec<String> = found.notes.iter().map(ToString::to_string).collect();
        return Ok(json!({ "compared": found.compared, "notes": notes }));
    }
    let differences = &found.differences;
    let named = named(differences);
    let message = match differences.len() {
        1 => format!("{subject}: 1 difference: {named}"),
        number => format!("{subject}: {number} differences: {named}"),
    };
    let mut failure = Failure::new(FailureClass::Differences, message).help(
        "if the source was written to during the move, start a new run; if not, look at the \
         objects named here before you use the target",
    );
    failure.details = differences.iter().take(TOLD).map(ToString::to_string).collect();
    if differences.len() > TOLD {
        failure.details.push(format!("and {} more", differences.len() - TOLD));
    }
    failure.details.extend(found.notes.iter().map(|note| format!("note: {note}")));
    Err(failure)
}

fn named(differences: &[Difference]) -> String {
    let mut objects: Vec<&str> = Vec::new();
    for difference in differences {
        if !objects.contains(&difference.object.as_str()) {
            objects.push(&difference.object);
        }
    }
    let more = objects.len().saturating_sub(NAMED);
    let named = objects[..objects.len() - more].join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn different(number: usize) -> Comparison {
        let one = |at: usize| Difference::between(format!("public.t{at}"), "row count", at, at + 1);
        Comparison { differences: (1..=number).map(one).collect(), ..Comparison::default() }
    }

    #[test]
    fn differences_are_a_failure_that_names_the_first_objects_and_tells_the_rest() {
        let failure = outcome("rows", &different(7)).unwrap_err();
        assert_eq!(failure.class, FailureClass::Differences);
        assert_eq!(
            failure.message,
            "rows: 7 differences: public.t1, public.t2, public.t3, public.t4, public.t5 and 2 more"
        );
        assert_eq!(failure.details.len(), 7);
        assert_eq!(failure.details[0], "public.t1: row count differs: source 1, target 2");
    }

    #[test]
    fn no_difference_is_an_output_with_its_notes() {
        let mut found = different(1);
        found.notes = std::mem::take(&mut found.differences);
        found.compared.insert("tables".to_owned(), 3);
        let output = outcome("rows", &found).unwrap();
        assert_eq!(output["compared"]["tables"], 3);
        assert_eq!(output["notes"].as_array().unwrap().len(), 1);
    }
}
