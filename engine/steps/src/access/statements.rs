//! The statements that close and open a database, each sent once for every role that it is about.

use std::collections::BTreeSet;

use pgkedge_model::{Call, Failure, Statement, Undo};

use super::{Access, ConnectGrant, Noted};
use crate::context::StepContext;
use crate::fill::{Fill, Observed};

/// What the statements of `sql/access.sql.j2` call the values that are known at run time.
const OURS: &str = "role of this run";
const OTHERS: &str = "each other role";
const GRANTOR: &str = "role that had granted it";
const GRANTEE: &str = "each role that had it";
const GRANTEE_WITH_OPTION: &str = "each role that had it so";
const WAS: &str = "as it was";

/// Fills the values of one step into its statements.
pub(crate) struct Writer<'a> {
    pub(crate) context: &'a StepContext,
    pub(crate) call: &'a Call,
}

impl Writer<'_> {
    /// The text of a statement with these values.
    pub(crate) fn text(
        &self,
        statement: &Statement,
        values: &[(&str, &str)],
    ) -> Result<String, Failure> {
        let mut observed = Observed::default();
        for (field, value) in values {
            observed.set("", field, *value);
        }
        self.filled(statement, &observed)
    }

    /// The text of a statement with this number.
    pub(crate) fn number(
        &self,
        statement: &Statement,
        field: &str,
        value: i64,
    ) -> Result<String, Failure> {
        let mut observed = Observed::default();
        observed.set("", field, value);
        self.filled(statement, &observed)
    }

    fn filled(&self, statement: &Statement, observed: &Observed) -> Result<String, Failure> {
        Fill { call: self.call, tag: self.context.tag(), observed }.text("", statement)
    }

    /// What closes the database: grants what we need, then takes CONNECT from everyone else, those
    /// that had it when it was noted and those that have it now.
    pub(crate) fn closing(
        &self,
        noted: &Noted,
        now: &Access,
        statements: &[Statement],
    ) -> Result<Vec<String>, Failure> {
        let [admit, exclude, read_only] = statements else { return Err(self.unfit()) };
        let mut texts = Vec::new();
        for role in noted.kept.iter().filter(|role| !noted.has_own_grant(role)) {
            texts.push(self.text(admit, &[(OURS, role)])?);
        }
        let grantees = noted.access.connect.iter().chain(&now.connect);
        let grantees: BTreeSet<&String> =
            grantees.map(|grant| &grant.grantee).filter(|one| !noted.kept.contains(one)).collect();
        for grantee in grantees {
            texts.push(self.text(exclude, &[(OTHERS, grantee)])?);
        }
        texts.push(self.text(read_only, &[])?);
        Ok(texts)
    }

    /// What puts back all that was noted, as far as the roles are still there.
    pub(crate) fn opening(
        &self,
        noted: &Noted,
        roles: &BTreeSet<String>,
        statements: &[Statement],
    ) -> Result<Vec<String>, Failure> {
        let [unset, set, grantor, grant, with_option, ourselves, revoke] = statements else {
            return Err(self.unfit());
        };
        let Access { owner, connect, read_only, .. } = &noted.access;
        let mut texts = vec![match read_only {
            Some(was) => self.text(set, &[(WAS, was)])?,
            None => self.text(unset, &[])?,
        }];
        for one in in_order(owner, connect) {
            if ![&one.grantee, &one.grantor].iter().all(|role| roles.contains(*role)) {
                continue;
            }
            let text = if one.grantable {
                self.text(with_option, &[(GRANTEE_WITH_OPTION, &one.grantee)])?
            } else {
                self.text(grant, &[(GRANTEE, &one.grantee)])?
            };
            if one.grantor == *owner {
                texts.push(text);
            } else {
                let become_grantor = self.text(grantor, &[(GRANTOR, &one.grantor)])?;
                texts.extend([become_grantor, text, self.text(ourselves, &[])?]);
            }
        }
        for role in noted.kept.iter().filter(|role| !noted.has_own_grant(role)) {
            if roles.contains(role) {
                texts.push(self.text(revoke, &[(OURS, role)])?);
            }
        }
        Ok(texts)
    }

    fn unfit(&self) -> Failure {
        Failure::permanent(format!("{} has other statements than it should", self.call.node.id))
            .help("the journal was written by another version of pgkedge; resume with that one")
    }
}

/// Grants in the order of the ACL, but each after the one that gave its grantor the right to it.
fn in_order<'a>(owner: &str, grants: &'a [ConnectGrant]) -> Vec<&'a ConnectGrant> {
    let mut open: Vec<&ConnectGrant> = grants.iter().collect();
    let mut ordered: Vec<&ConnectGrant> = Vec::new();
    loop {
        let is_next = |one: &&ConnectGrant| {
            let gives = |other: &&ConnectGrant| other.grantable && other.grantee == one.grantor;
            one.grantor == owner || ordered.iter().any(gives)
        };
        let Some(at) = open.iter().position(is_next) else { break };
        ordered.push(open.remove(at));
    }
    ordered.extend(open);
    ordered
}

/// The statements of a step of one member.
pub(crate) fn run_statements(call: &Call) -> &[Statement] {
    call.node.members.first().map(|member| member.run.as_slice()).unwrap_or_default()
}

/// The statements that take a step of one member back.
pub(crate) fn undo_statements(call: &Call) -> &[Statement] {
    match call.node.members.first().map(|member| &member.undo) {
        Some(Undo::Statements(statements)) => statements,
        Some(Undo::Nothing | Undo::Irreversible(_)) | None => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_comes_after_the_one_that_its_grantor_had() {
        let grant = |grantee: &str, grantor: &str, grantable| ConnectGrant {
            grantee: grantee.to_owned(),
            grantor: grantor.to_owned(),
            grantable,
        };
        let grants = [
            grant("c", "b", false),
            grant("b", "a", true),
            grant("public", "o", false),
            grant("a", "o", true),
        ];
        let order: Vec<&str> =
            in_order("o", &grants).iter().map(|grant| grant.grantee.as_str()).collect();
        assert_eq!(order, ["public", "a", "b", "c"]);
    }
}
