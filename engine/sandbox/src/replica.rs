//! A source with a physical replica: a copy of the source's files, taken before its first start.
//!
//! So no client program is needed, and every version of PostgreSQL makes one in the same way. A slot
//! keeps what the replica has not received yet.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use pgkedge_model::ServerVersion;

use crate::account::{Account, finish};
use crate::cluster::{Blueprint, Cluster, version};
use crate::error::{SandboxError, io_error};
use crate::folder;

/// The replica's slot on the source.
pub(crate) const SLOT: &str = "sandbox_replica";
/// From here on a standby is told by a file, and its settings stand with the others.
const STANDBY_SIGNAL: ServerVersion = ServerVersion(120_000);

/// A source and its replica, both planned.
pub(crate) struct Pair<'a> {
    pub(crate) source: &'a Blueprint<'a>,
    pub(crate) replica: Blueprint<'a>,
}

impl Pair<'_> {
    /// Makes and starts both, the source first: the replica then finds it at once.
    pub(crate) fn create(
        self,
        source: Cluster,
        replica: Cluster,
    ) -> Result<(Cluster, Cluster), SandboxError> {
        source.make(self.source)?;
        self.copy(&source, &replica)?;
        let slot = format!("select pg_catalog.pg_create_physical_replication_slot('{SLOT}', true)");
        source.execute_alone(&slot, self.source.account)?;
        let source = source.launch(self.source)?;
        let Self { replica: mut blueprint, .. } = self;
        let settings = settings(&source, blueprint.password);
        if version(&replica.data)? < STANDBY_SIGNAL {
            let lines = settings.iter().map(|(name, value)| format!("{name} = '{value}'\n"));
            let text = format!("standby_mode = 'on'\n{}", lines.collect::<String>());
            place(&replica.data.join("recovery.conf"), &text, blueprint.account)?;
        } else {
            blueprint.settings.extend(settings);
            place(&replica.data.join("standby.signal"), "", blueprint.account)?;
        }
        Ok((source, replica.launch(&blueprint)?))
    }

    fn copy(&self, source: &Cluster, replica: &Cluster) -> Result<(), SandboxError> {
        let account = self.replica.account;
        folder::create_private(replica.home(), account)?;
        let mut copy = account.command("cp", source.home());
        copy.arg("-a").arg(&source.data).arg(&replica.data);
        finish(copy)
    }
}

/// How the replica reaches the source. The password is hexadecimal: it needs no quotes.
fn settings(source: &Cluster, password: &str) -> [(String, String); 2] {
    let Cluster { port, user, .. } = source;
    let host = Ipv4Addr::LOCALHOST;
    let way = format!(
        "host={host} port={port} user={user} password={password} application_name=sandbox_replica"
    );
    [("primary_conninfo".to_owned(), way), ("primary_slot_name".to_owned(), SLOT.to_owned())]
}

fn place(path: &Path, text: &str, account: &Account) -> Result<(), SandboxError> {
    fs::write(path, text).map_err(io_error("write", path))?;
    account.give(path)
}
