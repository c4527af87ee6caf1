//! The text of an archive entry, in the form in which it is the same on both servers.

use pgkedge_model::Entry;

/// What is compared of an entry: its statements and the settings that hold for them.
pub(super) fn text(entry: &Entry) -> Vec<String> {
    let settings = entry.settings.iter().map(|(name, value)| format!("SET {name} = {value}"));
    match entry.kind.as_str() {
        "ACL" | "DEFAULT ACL" => {}
        "POLICY" => return entry.statements.iter().map(|sql| with_sorted_roles(sql)).collect(),
        _ => return settings.chain(entry.statements.iter().cloned()).collect(),
    }
    // The order of grants says nothing, but who grants does.
    let mut grants: Vec<String> = granted_by(&entry.statements);
    grants.sort();
    grants.dedup();
    grants
}

fn granted_by(statements: &[String]) -> Vec<String> {
    let mut grantor = "";
    let mut grants = Vec::new();
    for statement in statements {
        if let Some(role) = statement.strip_prefix("SET SESSION AUTHORIZATION ") {
            grantor = role;
        } else if statement.starts_with("RESET SESSION AUTHORIZATION") {
            grantor = "";
        } else if grantor.is_empty() {
            grants.push(statement.clone());
        } else {
            grants.push(format!("{statement} (as {grantor})"));
        }
    }
    grants
}

/// A policy's roles come in the order of their OIDs.
fn with_sorted_roles(policy: &str) -> String {
    let end = [" USING (", " WITH CHECK ("]
        .into_iter()
        .filter_map(|clause| unquoted(policy, clause).next())
        .min()
        .unwrap_or(policy.len());
    let (head, clauses) = policy.split_at(end);
    let Some(start) = unquoted(head, " TO ").next().map(|at| at + " TO ".len()) else {
        return policy.to_owned();
    };
    let list = &head[start..];
    let mut roles = Vec::new();
    let mut from = 0;
    for at in unquoted(list, ", ") {
        roles.push(&list[from..at]);
        from = at + ", ".len();
    }
    roles.push(&list[from..]);
    roles.sort_unstable();
    format!("{}{}{clauses}", &head[..start], roles.join(", "))
}

/// Where a text stands outside of quoted names.
fn unquoted<'a>(sql: &'a str, wanted: &'a str) -> impl Iterator<Item = usize> + 'a {
    let quotes_before = |at: usize| sql[..at].matches('"').count();
    sql.match_indices(wanted).map(|(at, _)| at).filter(move |at| quotes_before(*at) % 2 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_policys_roles_says_nothing() {
        let sorted = with_sorted_roles(
            r#"CREATE POLICY " TO z, a" ON s.t FOR SELECT TO c, "b, "" TO a", a USING ((x = ' TO c, b'::text))"#,
        );
        assert_eq!(
            sorted,
            r#"CREATE POLICY " TO z, a" ON s.t FOR SELECT TO "b, "" TO a", a, c USING ((x = ' TO c, b'::text))"#
        );
        for plain in [
            "CREATE POLICY p ON s.t USING ((x = ' TO b, a'::text))",
            "CREATE POLICY p ON s.t TO b WITH CHECK ((x = ' TO b, a'::text))",
        ] {
            assert_eq!(with_sorted_roles(plain), plain);
        }
    }
}
