//! Who may connect to a database, and whether its transactions may write: what closes it to all but
//! this run, and what puts back exactly what was there.
//!
//! Only CONNECT and `default_transaction_read_only` change. An ACL that was never set becomes an
//! explicit one: put back, it says in full what the server takes for granted without one.

mod statements;

use std::collections::BTreeSet;

use pgkedge_model::{Call, Failure, FailureClass, Ident, quote_literal};
use pgkedge_postgres::{Row, Sql};
use serde::{Deserialize, Serialize};

pub(crate) use self::statements::{Writer, run_statements, undo_statements};

/// The note that keeps what was there.
pub(crate) const NOTE: &str = "access";

/// A database as its server shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Access {
    /// `datacl`, for people; none where nothing was ever granted.
    pub(crate) acl: Option<String>,
    pub(crate) owner: String,
    /// Grants of CONNECT, in the order of the ACL.
    pub(crate) connect: Vec<ConnectGrant>,
    /// `default_transaction_read_only` of the database itself; none where it is not set.
    pub(crate) read_only: Option<String>,
}

/// CONNECT, as one role has given it to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ConnectGrant {
    /// `public` is everyone; no role can have that name.
    pub(crate) grantee: String,
    pub(crate) grantor: String,
    pub(crate) grantable: bool,
}

/// What a step notes before it closes a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Noted {
    /// As it was.
    #[serde(flatten)]
    pub(crate) access: Access,
    /// Roles that go on working, superusers not among them: nothing is taken from those.
    pub(crate) kept: Vec<String>,
    /// The server's clock, in milliseconds since 1970.
    pub(crate) closed_at: i64,
}

impl Noted {
    /// What an earlier attempt, or the one that is undone, has noted.
    pub(crate) fn of(call: &Call) -> Result<Option<Self>, Failure> {
        let Some(note) = call.notes.get(NOTE) else { return Ok(None) };
        serde_json::from_value(note.clone()).map(Some).map_err(|error| {
            Failure::permanent(format!("{}: its note cannot be read: {error}", call.node.id))
                .help("the journal was written by another version of pgkedge; resume with that one")
        })
    }

    /// Notes what is there, before anything is changed.
    pub(crate) async fn take(
        session: &Sql,
        call: &Call,
        kept: Vec<String>,
    ) -> Result<Self, Failure> {
        let access = Access::read(session).await?;
        access.check_grantors(session).await?;
        check_members(session, &kept).await?;
        let noted = Self { access, kept, closed_at: now(session).await? };
        let note = serde_json::to_value(&noted).map_err(|e| Failure::permanent(e.to_string()))?;
        call.reporter.note(NOTE, note).await?;
        Ok(noted)
    }

    /// Whether a role was granted CONNECT by the database's owner already.
    fn has_own_grant(&self, role: &str) -> bool {
        let Access { connect, owner, .. } = &self.access;
        connect.iter().any(|grant| grant.grantee == role && grant.grantor == *owner)
    }
}

impl Access {
    /// Of the database that the session is connected to.
    pub(crate) async fn read(session: &Sql) -> Result<Self, Failure> {
        let this = "d.datname = pg_catalog.current_database()";
        let rows = session
            .rows(&format!(
                "select d.datacl::pg_catalog.text, pg_catalog.pg_get_userbyid(d.datdba), \
                 (select pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1) \
                  from pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c (setting) \
                  where s.setdatabase = d.oid and s.setrole = 0 and pg_catalog.split_part( \
                    c.setting, '=', 1) = 'default_transaction_read_only') \
                 from pg_catalog.pg_database d where {this}"
            ))
            .await?;
        let grants = session
            .rows(&format!(
                "select case a.grantee when 0 then 'public' else r.rolname end, \
                 pg_catalog.pg_get_userbyid(a.grantor), a.is_grantable \
                 from pg_catalog.pg_database d, pg_catalog.aclexplode(coalesce(d.datacl, \
                   pg_catalog.acldefault('d', d.datdba))) with ordinality \
                   a (grantor, grantee, privilege_type, is_grantable, place) \
                 left join pg_catalog.pg_roles r on r.oid = a.grantee \
                 where a.privilege_type = 'CONNECT' and {this} \
                 and (a.grantee = 0 or r.oid is not null) order by a.place"
            ))
            .await?;
        let text = |row: &Row, at| row.get(at).unwrap_or_default().to_owned();
        let Some(row) = rows.first() else {
            return Err(Failure::transient("the database is not in its server's catalog"));
        };
        let grant = |row: &Row| ConnectGrant {
            grantee: text(row, 0),
            grantor: text(row, 1),
            grantable: row.get(2) == Some("t"),
        };
        Ok(Self {
            acl: row.get(0).map(str::to_owned),
            owner: text(row, 1),
            connect: grants.iter().map(grant).collect(),
            read_only: row.get(2).map(str::to_owned),
        })
    }

    /// Whether nobody but the kept roles may connect, and new transactions only read.
    pub(crate) fn is_closed(&self, kept: &[String]) -> bool {
        self.read_only.as_deref() == Some("on")
            && self.connect.iter().all(|grant| kept.contains(&grant.grantee))
    }

    /// Whether everything that was noted is there again. Others may have been let in meanwhile.
    fn has_all_of(&self, noted: &Self) -> bool {
        let there: BTreeSet<_> = self.connect.iter().collect();
        self.read_only == noted.read_only && noted.connect.iter().all(|one| there.contains(one))
    }

    /// A grant can only be put back by the role that had made it.
    async fn check_grantors(&self, session: &Sql) -> Result<(), Failure> {
        let grantors = self.connect.iter().map(|grant| grant.grantor.as_str());
        let grantors: BTreeSet<&str> = grantors.filter(|one| *one != self.owner).collect();
        let may = if session.server_version().major() >= 16 { "SET" } else { "MEMBER" };
        for grantor in grantors {
            let name = quote_literal(grantor);
            let query = format!("select pg_catalog.pg_has_role({name}, '{may}'), session_user");
            let rows = session.rows(&query).await?;
            let row = rows.first();
            if row.and_then(|row| row.get(0)) != Some("t") {
                let ours = row.and_then(|row| row.get(1)).unwrap_or_default();
                return Err(blocked(format!(
                    "role {grantor} has granted CONNECT on the {}'s database, which only it could \
                     put back",
                    session.server()
                ))
                .help(format!("grant {} to {}", quoted(grantor), quoted(ours))));
            }
        }
        Ok(())
    }
}

/// Members of a kept role could still connect.
async fn check_members(session: &Sql, kept: &[String]) -> Result<(), Failure> {
    for role in kept {
        let name = quote_literal(role);
        let rows = session
            .rows(&format!(
                "select m.rolname from pg_catalog.pg_roles m where m.rolcanlogin \
                 and not m.rolsuper and m.rolname <> {name} \
                 and pg_catalog.pg_has_role(m.oid, {name}, 'USAGE') order by 1"
            ))
            .await?;
        let inherits = rows.iter().filter_map(|row| row.get(0));
        let inherits: Vec<&str> =
            inherits.filter(|member| !kept.iter().any(|one| one == member)).collect();
        if let Some(first) = inherits.first() {
            return Err(blocked(format!(
                "the {} cannot be closed: {} could still connect, as a member of {role}, whose \
                 privileges this run needs",
                session.server(),
                inherits.join(", "),
            ))
            .help(format!(
                "let pgkedge log in as a role that has no members, or: revoke {} from {}",
                quoted(role),
                quoted(first)
            )));
        }
    }
    Ok(())
}

/// All roles of a server, and everyone.
pub(crate) async fn roles(session: &Sql) -> Result<BTreeSet<String>, Failure> {
    let rows = session.rows("select r.rolname from pg_catalog.pg_roles r").await?;
    let names = rows.iter().filter_map(|row| row.get(0)).map(str::to_owned);
    Ok(names.chain(["public".to_owned()]).collect())
}

/// The role of the session, unless it is a superuser: from those nothing can be taken.
pub(crate) async fn own_role(session: &Sql) -> Result<Option<String>, Failure> {
    let rows = session
        .rows(
            "select r.rolname from pg_catalog.pg_roles r \
             where r.rolname = session_user and not r.rolsuper",
        )
        .await?;
    Ok(rows.first().and_then(|row| row.get(0)).map(str::to_owned))
}

/// Superusers that can log in, ourselves not among them: no database can be closed to these.
pub(crate) async fn superusers(session: &Sql) -> Result<Vec<String>, Failure> {
    let rows = session
        .rows(
            "select r.rolname from pg_catalog.pg_roles r \
             where r.rolsuper and r.rolcanlogin and r.rolname <> session_user order by 1",
        )
        .await?;
    Ok(rows.iter().filter_map(|row| row.get(0)).map(str::to_owned).collect())
}

/// The server's clock, in milliseconds since 1970.
pub(crate) async fn now(session: &Sql) -> Result<i64, Failure> {
    let query = "select (extract(epoch from pg_catalog.clock_timestamp()) * 1000)::pg_catalog.int8";
    number(&session.rows(query).await?)
        .ok_or_else(|| Failure::permanent("the server does not tell the time"))
}

/// The only value of an answer.
pub(crate) fn number(rows: &[Row]) -> Option<i64> {
    rows.first()?.get(0)?.parse().ok()
}

/// Fails if something that was noted is not there again.
pub(crate) async fn check_put_back(session: &Sql, noted: &Noted) -> Result<(), Failure> {
    let now = Access::read(session).await?;
    let roles = roles(session).await?;
    let mut wanted = noted.access.clone();
    wanted.connect.retain(|one| [&one.grantee, &one.grantor].iter().all(|r| roles.contains(*r)));
    if now.has_all_of(&wanted) {
        return Ok(());
    }
    let shown = |access: &Access| {
        let acl = access.acl.as_deref().unwrap_or("none");
        let read_only = access.read_only.as_deref().unwrap_or("not set");
        format!("grants {acl}; default_transaction_read_only {read_only}")
    };
    let server = session.server();
    Err(Failure::new(
        FailureClass::Operator,
        format!("the access to the {server}'s database is not what it was"),
    )
    .detail(format!("then: {}", shown(&noted.access)))
    .detail(format!("now:  {}", shown(&now)))
    .help("grant connect on the database to those who had it"))
}

fn blocked(message: String) -> Failure {
    Failure::new(FailureClass::Blocked, message)
}

/// A role's name, as it is typed.
pub(crate) fn quoted(role: &str) -> String {
    Ident::new(role).map_or_else(|_| role.to_owned(), |ident| ident.to_string())
}
