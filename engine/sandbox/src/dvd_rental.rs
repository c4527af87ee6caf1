//! A DVD-rental database of our own: something of everything that makes a database hard to move.
//!
//! Its core has 15 tables, 7 views, 8 functions, 1 trigger, 1 domain and 13 sequences in `public`. Beside
//! it stand the extras, most of them in `back_office`: nested partitions, a table without a primary key, one
//! with a second unique index, `jsonb` and text that is stored apart, enums, identity and generated columns,
//! large objects with owners and grants, materialized views, an unlogged table, policies, a rule, extended
//! statistics, comments, grants, a publication, settings of the database and of a role. PostgreSQL 12 or later.

/// In the order in which they run; a line that holds only `;;` stands between two statements.
const FILES: &[&str] = &[
    include_str!("dvd_rental/01_roles.sql"),
    include_str!("dvd_rental/02_types.sql"),
    include_str!("dvd_rental/03_tables.sql"),
    include_str!("dvd_rental/04_extra_tables.sql"),
    include_str!("dvd_rental/05_rows.sql"),
    include_str!("dvd_rental/06_extra_rows.sql"),
    include_str!("dvd_rental/07_keys.sql"),
    include_str!("dvd_rental/08_functions.sql"),
    include_str!("dvd_rental/09_views.sql"),
    include_str!("dvd_rental/10_access.sql"),
];

/// How many rows there are: 1 is some 200,000 in 60 MB. From 0.01 to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size(f64);

/// A number that is no size.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{0}` is no size of the DVD-rental database; take a number from 0.01 to 100")]
pub struct InvalidSize(String);

impl Size {
    pub fn new(factor: f64) -> Result<Self, InvalidSize> {
        if (0.01..=100.0).contains(&factor) {
            Ok(Self(factor))
        } else {
            Err(InvalidSize(factor.to_string()))
        }
    }
}

impl Default for Size {
    fn default() -> Self {
        Self(1.0)
    }
}

impl std::str::FromStr for Size {
    type Err = InvalidSize;
    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let factor = text.parse().map_err(|_| InvalidSize(text.to_owned()))?;
        Self::new(factor)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The statements that build the database, for one session, in this order.
pub fn statements(size: Size) -> Vec<String> {
    let settings = [
        format!("select pg_catalog.set_config('dvd_rental.size', '{size}', false)"),
        // The rows hold literals of times and floats: they mean the same whatever the database says.
        "set datestyle = iso, ymd".to_owned(),
        "set timezone = utc".to_owned(),
        "set search_path = pg_catalog, pg_temp".to_owned(),
    ];
    let statements = FILES
        .iter()
        .flat_map(|file| file.split("\n;;\n"))
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
        .map(str::to_owned);
    settings.into_iter().chain(statements).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(start: &str) -> usize {
        statements(Size::default()).iter().filter(|text| code(text).starts_with(start)).count()
    }

    /// A statement without the comment above it.
    fn code(statement: &str) -> String {
        let lines = statement.lines().skip_while(|line| line.starts_with("--"));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn sequences() -> usize {
        let tables = statements(Size::default());
        let core = tables.iter().filter(|text| code(text).starts_with("create table public."));
        core.filter(|text| text.contains(" serial ")).count()
    }

    #[test]
    fn the_core_has_the_shape_of_the_well_known_sample() {
        let partitions = count("create table public.payment_");
        assert_eq!(count("create table public.") - partitions, 15);
        assert_eq!(count("create view public."), 7);
        assert_eq!(count("create function public."), 8);
        assert_eq!(count("create trigger "), 1);
        assert_eq!(count("create domain "), 1);
        assert_eq!(sequences(), 13);
    }

    #[test]
    fn a_size_out_of_bounds_is_refused() {
        for text in ["0", "-1", "1000", "NaN", "inf", "", "big"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        assert_eq!("0.1".parse::<Size>().unwrap().to_string(), "0.1");
    }

    #[test]
    fn no_statement_is_left_with_a_separator() {
        for statement in statements(Size::default()) {
            assert!(!statement.contains("\n;;"), "{statement}");
            assert!(!statement.ends_with(';'), "{statement}");
        }
    }
}
