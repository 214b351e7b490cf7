//! `veth-exporter completions SHELL`: prints the completions for a shell, which the packages install too.

use super::oneshot::print;
use crate::cli::CompletionShell;

/// Prints the script.
///
/// # Errors
/// Fails if standard output cannot be written.
pub(super) fn run(shell: CompletionShell) -> anyhow::Result<()> {
    print(match shell {
        CompletionShell::Bash => include_str!("../../deploy/completions/veth-exporter.bash"),
        CompletionShell::Zsh => include_str!("../../deploy/completions/_veth-exporter"),
        CompletionShell::Fish => include_str!("../../deploy/completions/veth-exporter.fish"),
    })
}
