use crate::exit::Exit;
use crate::output;

/// Print a JSON Schema, for editors and for checks elsewhere
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Of which document.
    #[arg(value_enum, default_value = "plan")]
    document: Document,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Document {
    Plan,
    Pipeline,
    /// What `inspect` prints.
    Catalog,
}

pub(crate) fn run(args: &Args) -> Exit {
    let schema = match args.document {
        Document::Plan => pgkedge_plan::plan_schema(pgkedge_steps::kinds()),
        Document::Pipeline => pgkedge_plan::pipeline_schema(pgkedge_steps::kinds()),
        Document::Catalog => pgkedge_model::Catalog::schema(),
    };
    output::print(&serde_json::to_string_pretty(&schema).expect("a schema serializes"));
    Exit::Done
}
