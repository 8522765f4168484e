//! What is made of the one definition of the command line: completions for shells, and the manual.

use std::io;

use clap::builder::Resettable;
use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::{Cli, EXAMPLES, EXIT_CODES, UNITS};
use super::exit::Failure;

const FILES: [(&str, &str); 5] = [
    ("NAME.part", "what there is of NAME until it is whole"),
    ("NAME.part.ckpt", "which bytes of it are in place, and of which version of the object; removed last"),
    ("NAME.hashes", "what verify and repair go by, if it was downloaded with --keep-hashes"),
    (
        "$XDG_CONFIG_HOME/haul/config.toml",
        "options, by their long names, and [host.\"NAME\"] tables (default: ~/.config)",
    ),
    ("$XDG_CACHE_HOME/haul/hosts", "how many requests at once paid with which host (default: ~/.cache)"),
];

/// What the shell reads to complete haul's options.
pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "haul", &mut script);
    script
}

/// The commands that have a page of their own.
pub(crate) fn commands() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

/// The manual of haul, or of one of its commands, for `man -l`.
pub(crate) fn page(name: Option<&str>) -> Result<Vec<u8>, Failure> {
    let mut haul = Cli::command().disable_help_subcommand(true);
    haul.build();
    let mut page = Vec::new();
    let written = match name {
        None => whole(haul, &mut page),
        Some(name) => {
            let command = haul.find_subcommand(name).filter(|command| command.get_name() == name).cloned();
            let command =
                command.ok_or_else(|| Failure::usage(format!("{name:?} is no command; see haul --help")))?;
            Man::new(command).title(format!("haul-{name}")).render(&mut page)
        }
    };
    written.map_err(|error| Failure::io("the manual", "write it", &error))?;
    Ok(page)
}

fn whole(haul: Command, page: &mut Vec<u8>) -> io::Result<()> {
    // What stands at the end of the help has sections here.
    Man::new(haul.after_help(Resettable::Reset).after_long_help(Resettable::Reset)).render(page)?;
    let mut more = Roff::new();
    let flush = |text: &str| text.trim_start().replace("\n  ", "\n");
    for (title, text) in [("UNITS", UNITS), ("EXAMPLES", EXAMPLES), ("EXIT STATUS", EXIT_CODES)] {
        more.control("SH", [title]).control("nf", []).text([roman(flush(text))]).control("fi", []);
    }
    more.control("SH", ["FILES"]);
    for (name, what) in FILES {
        more.control("TP", []).text([bold(name)]).text([roman(what)]);
    }
    more.to_writer(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_has_completions_of_every_option() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(completions(*shell)).unwrap();
            for word in ["parallel-downloads", "checksum", "status", "tune"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn the_manual_has_every_option_and_what_the_help_ends_with() {
        let page = String::from_utf8(page(None).unwrap()).unwrap();
        let command = Cli::command();
        for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(page.contains(&option.replace('-', "\\-")), "{option}");
        }
        for section in ["SYNOPSIS", "EXAMPLES", "\"EXIT STATUS\"", "FILES"] {
            assert!(page.contains(&format!(".SH {section}\n")), "{section}: {page}");
        }
        assert!(!page.contains("EXTRA"), "{page}");
    }

    #[test]
    fn a_command_has_a_page_of_its_own() {
        let status = String::from_utf8(page(Some("status")).unwrap()).unwrap();
        assert!(status.contains("haul\\-status") && status.contains("FILE"), "{status}");
        assert!(commands().iter().all(|name| page(Some(name)).is_ok()));
        assert!(page(Some("fetch")).unwrap_err().message.contains("is no command"));
    }
}
