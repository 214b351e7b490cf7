//! Explanations of mistakes on the command line and in the environment.

use super::Variable;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Arg, Command};
use std::ffi::OsString;

/// Completes an error of the parser: a value that comes from an environment variable is reported as that of
/// the variable, and a flag of another command as such. `is_set` tells whether a variable is set.
pub(super) fn explain(
    mut error: Error,
    commands: &Command,
    words: &[OsString],
    is_set: impl Fn(&str) -> bool,
) -> Error {
    let flags = || commands.get_subcommands().flat_map(Command::get_arguments);
    let variable = |shown: &str| -> Option<Variable> {
        let flag = shown.split([' ', '=']).next()?;
        let named = flags().find(|argument| long_flag(argument).as_deref() == Some(flag))?;
        Some(Variable::of(named)?).filter(|_| !is_written(flag, words))
    };
    for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        // What is missing is a flag, and not its variable.
        if error.kind() == ErrorKind::MissingRequiredArgument {
            break;
        }
        let renamed = |text: &String| variable(text).map_or_else(|| text.clone(), |variable| variable.name);
        let value = match error.get(kind) {
            Some(ContextValue::String(text)) => ContextValue::String(renamed(text)),
            Some(ContextValue::Strings(texts)) => ContextValue::Strings(texts.iter().map(renamed).collect()),
            _ => continue,
        };
        error.insert(kind, value);
    }
    let tip = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(flag))) => other_command(flag, commands),
        (ErrorKind::InvalidSubcommand, _) => {
            Some("a name is looked for by `veth-exporter find NAME`".to_owned())
        }
        (ErrorKind::MissingRequiredArgument, _) => {
            let command = words.get(1).and_then(|name| commands.find_subcommand(name));
            let set = command.into_iter().flat_map(Command::get_arguments).filter_map(Variable::of);
            let set: Vec<String> = set.map(|variable| variable.name).filter(|name| is_set(name)).collect();
            (!set.is_empty()).then(|| format!("the environment has {}", set.join(", ")))
        }
        _ => None,
    };
    if let Some(tip) = tip {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// Names the environment variables in a message in place of the flags that the user has not written.
pub(super) fn name_variables(message: &str, variables: &[Variable]) -> String {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-');
    let mut text = message.to_owned();
    for Variable { flag, name } in variables {
        let mut from = 0;
        while let Some(found) = text[from..].find(flag.as_str()) {
            let (begin, end) = (from + found, from + found + flag.len());
            let is_whole = text[end..].chars().next().is_none_or(ends);
            if is_whole {
                text.replace_range(begin..end, name);
            }
            from = begin + if is_whole { name.len() } else { flag.len() };
        }
    }
    text
}

fn long_flag(argument: &Arg) -> Option<String> {
    argument.get_long().map(|long| format!("--{long}"))
}

fn is_written(flag: &str, words: &[OsString]) -> bool {
    let is =
        |word: &str| word.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
    words.iter().filter_map(|word| word.to_str()).any(is)
}

/// Returns the sentence about a flag that only other commands have.
fn other_command(flag: &str, commands: &Command) -> Option<String> {
    let has = |command: &&Command| {
        command.get_arguments().any(|argument| long_flag(argument).as_deref() == Some(flag))
    };
    let names: Vec<&str> = commands
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .filter(has)
        .map(Command::get_name)
        .collect();
    (!names.is_empty()).then(|| format!("{flag} is a flag of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;

    #[test]
    fn a_flag_of_another_command_is_said_to_be_one_wherever_it_stands() {
        for words in [["--web.max-requests=1", "list"], ["list", "--web.max-requests=1"]] {
            let error = Cli::try_read([&["veth-exporter"], &words[..]].concat()).unwrap_err().to_string();
            for part in ["unexpected argument '--web.max-requests'", "is a flag of serve", "list"] {
                assert!(error.contains(part), "{error}");
            }
        }
        let error = Cli::try_read(["veth-exporter", "web"]).unwrap_err().to_string();
        assert!(
            error.contains("unrecognized subcommand 'web'") && error.contains("veth-exporter find"),
            "{error}"
        );
    }

    #[test]
    fn a_message_names_the_variable_in_place_of_the_flag_that_the_user_has_not_written() {
        let variable = |flag: &str, name: &str| Variable { flag: flag.to_owned(), name: name.to_owned() };
        let variables = [variable("--path.netns", "P_N"), variable("--url", "U")];
        for (message, wanted) in [
            ("--path.netns /x: no such file", "P_N /x: no such file"),
            ("name it with --url.user, not --url", "name it with --url.user, not U"),
            ("--path.netnss", "--path.netnss"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(name_variables(message, &variables), wanted);
        }
    }

    #[test]
    fn a_flag_is_written_with_or_without_its_value() {
        let words = ["x", "--url.user=me", "--interval", "2s"].map(OsString::from);
        for (flag, written) in [("--url.user", true), ("--interval", true), ("--url", false), ("2s", true)] {
            assert_eq!(is_written(flag, &words), written, "{flag}");
        }
    }
}
