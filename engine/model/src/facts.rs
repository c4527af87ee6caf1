//! What a plan is compiled against, and how its tables are chosen and split.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Catalog, Ident, QualifiedName, Server, ServerFacts, ServerVersion};

/// The catalogs of a plan's databases, as they were when it was compiled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub source: Catalog,
    /// None where the target could not be asked: its version is then assumed to be the source's.
    pub target: Option<Catalog>,
    /// The maintenance replica: its catalog is the source's, its server is its own.
    pub replica: Option<ServerFacts>,
}

impl Facts {
    /// What a database holds. A replica holds what the source does.
    pub fn catalog(&self, server: Server) -> Option<&Catalog> {
        match server {
            Server::Source | Server::Replica => Some(&self.source),
            Server::Target => self.target.as_ref(),
        }
    }

    /// Facts of a server of the plan.
    pub fn server(&self, server: Server) -> Option<&ServerFacts> {
        match server {
            Server::Source => Some(&self.source.server),
            Server::Replica => self.replica.as_ref(),
            Server::Target => self.target.as_ref().map(|target| &target.server),
        }
    }

    pub fn target_version(&self) -> ServerVersion {
        self.target.as_ref().map_or(self.source.server.version, |target| target.server.version)
    }

    /// The database's name on the target, for statements that must name it.
    pub fn target_database(&self) -> &Ident {
        &self.target.as_ref().unwrap_or(&self.source).database.name
    }
}

/// Tables that move together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableGroup {
    pub name: Ident,
    /// Sorted.
    pub tables: Vec<QualifiedName>,
}

/// Which tables move: every one in exactly one group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    pub groups: Vec<TableGroup>,
    /// Tables of the source that the plan leaves out, by its own patterns.
    pub excluded: Vec<QualifiedName>,
}

/// A range of one table that one COPY moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// 1 is the first.
    pub number: u32,
    pub of: u32,
    pub range: PartRange,
}

/// Which rows a part holds. The first part has no lower and the last no upper bound, so that rows
/// that came after the plan was compiled are in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartRange {
    Whole,
    /// Pages of the table, by ctid. `from` is meant to be left out in the first part, `to` in the last.
    Pages {
        from: Option<u32>,
        to: Option<u32>,
    },
}

impl Selection {
    /// The group of a table.
    pub fn group_of(&self, table: &QualifiedName) -> Option<&TableGroup> {
        self.groups.iter().find(|group| group.tables.binary_search(table).is_ok())
    }
}

impl Part {
    pub const WHOLE: Self = Self { number: 1, of: 1, range: PartRange::Whole };

    /// Splits `pages` into `of` ranges of about the same size.
    pub fn of_pages(pages: u32, of: u32) -> Vec<Self> {
        if of <= 1 {
            return vec![Self::WHOLE];
        }
        let bound = |n: u32| u32::try_from(u64::from(pages) * u64::from(n) / u64::from(of));
        let bounds: Range<u32> = 0..of;
        bounds
            .map(|n| Self {
                number: n + 1,
                of,
                range: PartRange::Pages {
                    from: (n > 0).then(|| bound(n).expect("below pages")),
                    to: (n + 1 < of).then(|| bound(n + 1).expect("below pages")),
                },
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_meet_and_the_first_and_last_are_open() {
        let parts = Part::of_pages(10, 3);
        let ranges: Vec<_> = parts.iter().map(|part| part.range.clone()).collect();
        assert_eq!(
            ranges,
            [
                PartRange::Pages { from: None, to: Some(3) },
                PartRange::Pages { from: Some(3), to: Some(6) },
                PartRange::Pages { from: Some(6), to: None },
            ]
        );
    }
}
