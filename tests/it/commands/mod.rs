//! All commands by example: every folder of `fixtures/commands` is a case, and every command and
//! option has one.

mod case;
mod live;
mod script;
mod sessions;

use std::fs;
use std::path::Path;

use confab::cli::table::{self, Verb};

use crate::support::parallel::each;
use case::Case;

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/commands");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).map(|path| Case::read(&path)).collect()
}

#[test]
fn commands_do_what_the_examples_say() {
    each(cases(), |case| case.check());
}

/// What the table of commands has grown by must be shown to work, and to fail.
#[test]
fn every_command_and_option_has_an_example() {
    let cases = cases();
    let mut missing = Vec::new();
    for entry in table::shown() {
        let of_command = |case: &&Case| case.words.join(" ").starts_with(entry.words);
        let mine: Vec<&Case> = cases.iter().filter(of_command).collect();
        let mut demand = |what: String, is_met: bool| {
            if !is_met {
                missing.push(format!("{}: {what}", entry.words));
            }
        };
        demand("success".into(), mine.iter().any(|case| case.status == 0));
        // A hook never fails, whatever is typed.
        let fails = entry.verb == Verb::Hook || mine.iter().any(|case| case.status != 0);
        demand("failure".into(), fails);
        for flag in entry.options {
            let option = format!("--{}", flag.name);
            demand(option.clone(), mine.iter().any(|case| case.words.contains(&option)));
        }
        for value in entry.operands.iter().flat_map(|operand| operand.values) {
            let value = (*value).to_string();
            demand(value.clone(), mine.iter().any(|case| case.words.contains(&value)));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
