//! The arrangement of the command line's words: a flag may stand before the command that it belongs to.

use clap::Command;
use std::ffi::OsString;

/// The words of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arranged {
    /// Words of which the second is the command; or, if a word is no command, the words as they are.
    OfCommand(Vec<OsString>),
    /// Words without a command that ask for the help or the version.
    OfProgram(Vec<OsString>),
}

/// Puts the command before its flags: `serve` if none is given. `command` has all commands, and is built.
pub(super) fn arrange(words: Vec<OsString>, command: &Command) -> Arranged {
    let mut at = 1;
    let mut asks = false;
    while let Some(word) = words.get(at) {
        let Some(flag) = word.to_str().filter(|word| word.starts_with('-') && *word != "-") else {
            return match word.to_str().is_some_and(|name| is_command(command, name)) {
                true if asks => Arranged::OfProgram(words),
                true => Arranged::OfCommand(with_command_first(words, at)),
                false => Arranged::OfCommand(words),
            };
        };
        if flag == "--" {
            break;
        }
        asks |= matches!(flag, "-h" | "--help" | "-V" | "--version");
        let next = words.get(at + 1).and_then(|next| next.to_str()).unwrap_or_default();
        // A value that may be left out is none if it is a command or a flag.
        let may_be_value = !next.starts_with('-') && !is_command(command, next);
        let next_is_value =
            flag.strip_prefix("--").is_some_and(|long| takes_next_word(command, long, may_be_value));
        at += if next_is_value { 2 } else { 1 };
    }
    if asks {
        return Arranged::OfProgram(words);
    }
    let mut words = words;
    words.insert(1.min(words.len()), "serve".into());
    Arranged::OfCommand(words)
}

fn is_command(command: &Command, name: &str) -> bool {
    name == "help" || command.get_subcommands().any(|command| command.get_name() == name)
}

/// Returns true if the word behind this flag of any command is its value. `may_be_value` is true if the word
/// may be a value that the flag need not have.
fn takes_next_word(command: &Command, long: &str, may_be_value: bool) -> bool {
    let flags = command.get_subcommands().flat_map(Command::get_arguments);
    let mut named = flags.filter(|flag| flag.get_long() == Some(long));
    named.any(|flag| {
        let least = flag.get_num_args().map_or(1, |count| count.min_values());
        flag.get_action().takes_values() && (least > 0 || may_be_value)
    })
}

fn with_command_first(mut words: Vec<OsString>, at: usize) -> Vec<OsString> {
    let command = words.remove(at);
    words.insert(1, command);
    words
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;

    fn arranged(words: &[&str]) -> Arranged {
        let mut command = Cli::commands();
        command.build();
        let words = [&["veth-exporter"], words].concat();
        arrange(words.into_iter().map(OsString::from).collect(), &command)
    }

    fn of_command(words: &[&str]) -> Arranged {
        Arranged::OfCommand(["veth-exporter"].iter().chain(words).map(OsString::from).collect())
    }

    #[test]
    fn a_flag_before_the_command_is_a_flag_of_the_command() {
        for (typed, wanted) in [
            (&["list", "--bytes"][..], &["list", "--bytes"][..]),
            (&["--docker.host", "list", "list"], &["list", "--docker.host", "list"]),
            (&["--docker.host=x", "--bytes", "list", "web"], &["list", "--docker.host=x", "--bytes", "web"]),
            (&["--log.level", "debug", "find", "--", "-x"], &["find", "--log.level", "debug", "--", "-x"]),
            // This flag's value may be left out.
            (&["--device.metrics", "serve"], &["serve", "--device.metrics"]),
            (&["--device.metrics", "true", "serve"], &["serve", "--device.metrics", "true"]),
            (&["help", "list"], &["help", "list"]),
        ] {
            assert_eq!(arranged(typed), of_command(wanted), "{typed:?}");
        }
    }

    #[test]
    fn words_without_a_command_are_those_of_serve() {
        for words in [
            &[][..],
            &["--device.metrics", "false"],
            &["--web.max-requests", "-1"],
            &["--no-such-flag"],
            &["--docker.host"],
        ] {
            assert_eq!(arranged(words), of_command(&[&["serve"], words].concat()), "{words:?}");
        }
        assert_eq!(arranged(&["lsit", "x"]), of_command(&["lsit", "x"]), "a word that is no command stays");
        assert_eq!(arrange(Vec::new(), &Cli::commands()), Arranged::OfCommand(vec!["serve".into()]));
    }

    #[test]
    fn the_help_without_a_command_is_that_of_the_program() {
        for words in [&["--help"][..], &["-h"], &["--log.level", "debug", "-V"], &["--help", "list"]] {
            assert!(matches!(arranged(words), Arranged::OfProgram(_)), "{words:?}");
        }
        assert_eq!(arranged(&["list", "--help"]), of_command(&["list", "--help"]));
    }
}
