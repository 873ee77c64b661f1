//! Whether a panic can be caught in a program that was built as confab is: `./build.sh dist` builds
//! this beside the static programs and runs it. Redaction withholds a line by that.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::thread;

fn main() -> ExitCode {
    let here = catch_unwind(|| panic!("on purpose, to be caught"));
    let there = thread::spawn(|| panic!("on purpose, in a thread")).join();
    if here.is_err() && there.is_err() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
