//! The flags of the command `list`.

use super::CommonFlags;
use crate::list::{ListSort, SORTS};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

#[derive(Clone, Debug, Args)]
pub(crate) struct List {
    /// Words that a row must all have: in a name, runtime, network, device, MAC or IP address, id, image,
    /// Compose project or service, or a member's name
    #[arg(value_name = "QUERY")]
    pub(crate) query: Vec<String>,
    /// Format in which the pairs are printed
    #[arg(long, env = "VETH_EXPORTER_FORMAT", value_enum, default_value = "table")]
    pub(crate) format: ListFormat,
    /// Print exact numbers of bytes, in place of 1.23 MB
    #[arg(long, env = "VETH_EXPORTER_BYTES")]
    pub(crate) bytes: bool,
    /// Print no line of headings
    #[arg(long, env = "VETH_EXPORTER_NO_HEADER")]
    pub(crate) no_header: bool,
    /// Field by which the rows are sorted, the lowest first; with a dash before it the highest first
    /// [default: the order of the kernel]
    #[arg(
        long,
        env = "VETH_EXPORTER_SORT",
        value_name = "FIELD",
        allow_hyphen_values = true,
        value_parser = PossibleValuesParser::new(SORTS.map(sort_name)).try_map(|text| ListSort::read(&text))
    )]
    pub(crate) sort: Option<ListSort>,
    /// Flags of the sources and of the process.
    #[command(flatten)]
    pub(crate) sources: CommonFlags,
}

/// Returns a value of `--sort`; the help leaves out those with a dash, which its text explains.
fn sort_name(name: &'static str) -> PossibleValue {
    PossibleValue::new(name).hide(name.starts_with('-'))
}

/// The output formats of `list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// Aligned columns below a heading, no wider than the terminal
    Table,
    /// JSON text for programs: the document of the API
    Json,
    /// Lines of fields with a tab between each two, for programs
    Tsv,
}
