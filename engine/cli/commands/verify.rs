use std::path::PathBuf;

use pgkedge_model::{Facts, Ident, QualifiedName};

use crate::args::Global;
use crate::compare::{self, What};
use crate::exit::{Exit, Stop};
use crate::output::{self, Format};
use crate::{numbers, plans};

/// Compare the two databases of a plan now, whatever moved them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Nobody may write to either side meanwhile: what is written would look like a \
difference.
Exit code 5: the two sides differ."
)]
pub(crate) struct Args {
    /// The plan's YAML file.
    plan: PathBuf,
    /// Compare the rows of this table alone: schema.table, as the catalog writes it.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<Exit, Stop> {
    let plan = plans::read(&args.plan)?;
    let endpoints = plans::endpoints(&plan.databases, &plans::absolute(&args.plan)?);
    let facts = plans::introspected(&endpoints).await?;
    let compiled = plans::compiled(&plan, &facts)?;
    let only = args.table.as_deref().map(|name| table(name, &facts)).transpose()?;
    let what = What {
        excluded: &compiled.selection.excluded,
        only: only.as_ref(),
        method: plan.settings.verify.method,
    };
    let compared = compare::now(&endpoints, &facts, what).await?;
    let equal = compared.found.is_equal();
    match global.output {
        Format::Json => output::print_json(&compared),
        Format::Text => {
            for difference in &compared.found.differences {
                output::print(&format!("difference: {difference}"));
            }
            for note in compared.found.notes.iter().filter(|_| !global.quiet) {
                output::say(&format!("note: {note}"));
            }
            output::say(&format!(
                "{}, {} compared: {}",
                numbers::counted(compared.tables, "table"),
                numbers::counted(compared.rows, "row"),
                numbers::counted(compared.found.differences.len() as u64, "difference"),
            ));
        }
    }
    Ok(if equal { Exit::Done } else { Exit::Differences })
}

/// The table that `schema.table` means: no quotes, split at the dot that makes it a table.
fn table(text: &str, facts: &Facts) -> Result<QualifiedName, Stop> {
    let tables = &facts.source.tables;
    let is_meant = |name: &QualifiedName| {
        let plain = |ident: &Ident| ident.as_str().to_owned();
        name.to_string() == text || format!("{}.{}", plain(&name.schema), plain(&name.name)) == text
    };
    tables.iter().map(|table| &table.name).find(|name| is_meant(name)).cloned().ok_or_else(|| {
        Stop::usage(format!("the source has no table `{text}`"))
            .help("name it with its schema, for example public.orders")
    })
}
