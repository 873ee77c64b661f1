//! `confab install`: this program, and the embedded backend if it lies beside it, into a folder of
//! `PATH`.
//!
//! A program is replaced whole by renaming, so that one that runs goes on undisturbed. Nothing is
//! written into the shell's own files: what it still needs is said.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

/// What the client is called.
const CLIENT: &str = "confab";
/// What is taken along when it lies beside the client.
const SERVER: &str = "confab-server";
/// Where programs of a user belong, below the home directory.
const FOLDER_DEFAULT: &str = ".local/bin";

/// What `main` knows of this program and of the shell.
#[derive(Debug)]
pub struct Surroundings {
    /// This program.
    pub executable: PathBuf,
    /// The home directory.
    pub home: PathBuf,
    /// `PATH`.
    pub path: OsString,
    /// `SHELL`; empty if unknown.
    pub shell: String,
}

/// Copies the programs and says what is still to be done.
///
/// # Errors
/// When a file or folder cannot be written; the programs that were there before are untouched then.
pub fn run(
    folder: Option<&Path>,
    surroundings: &Surroundings,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<()> {
    let folder = match folder {
        Some(folder) => expanded(folder, &surroundings.home),
        None => surroundings.home.join(FOLDER_DEFAULT),
    };
    if !folder.is_absolute() {
        let what = format!("--dest {} is not absolute", folder.display());
        return Err(Error::new(what).with_hint("name the folder from / or ~/ on"));
    }
    fs::create_dir_all(&folder).context(|| format!("make the folder {}", folder.display()))?;
    let server = surroundings.executable.with_file_name(SERVER);
    let sources = [(CLIENT, &surroundings.executable), (SERVER, &server)];
    for (name, source) in sources.into_iter().filter(|(_, source)| source.is_file()) {
        let place = folder.join(name);
        let is_same = is_same(source, &place);
        if !is_same {
            copy(source, &place).context(|| format!("install {}", place.display()))?;
        }
        let what = if is_same { "is there already" } else { "is installed" };
        writeln!(out, "{} {what}", place.display())
            .context(|| "write to standard output".into())?;
    }
    for hint in hints(&folder, surroundings) {
        let _ = writeln!(talk, "confab: hint: {hint}");
    }
    Ok(())
}

/// `~/bin`, which a shell leaves as it is behind `--dest=`.
fn expanded(folder: &Path, home: &Path) -> PathBuf {
    match folder.strip_prefix("~") {
        Ok(rest) => home.join(rest),
        Err(_) => folder.to_owned(),
    }
}

/// The same file, or the same content.
fn is_same(source: &Path, place: &Path) -> bool {
    if place.canonicalize().is_ok_and(|place| source.canonicalize().is_ok_and(|it| it == place)) {
        return true;
    }
    let (Ok(one), Ok(other)) = (fs::metadata(source), fs::metadata(place)) else { return false };
    let is_executable = other.permissions().mode() & 0o111 != 0;
    // Programs have a few megabytes, so both are read at once.
    one.len() == other.len()
        && is_executable
        && matches!((fs::read(source), fs::read(place)), (Ok(one), Ok(other)) if one == other)
}

fn copy(source: &Path, place: &Path) -> io::Result<()> {
    let temporary = place.with_extension(format!("{}.new", std::process::id()));
    let written = fs::copy(source, &temporary)
        .and_then(|_| fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755)))
        .and_then(|()| File::open(&temporary)?.sync_all())
        .and_then(|()| fs::rename(&temporary, place));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// What keeps the shell from finding the program.
fn hints(folder: &Path, surroundings: &Surroundings) -> Vec<String> {
    let same = |one: &Path| one == folder || is_same_folder(one, folder);
    let folders: Vec<PathBuf> = std::env::split_paths(&surroundings.path).collect();
    let Some(at) = folders.iter().position(|one| same(one)) else {
        return vec![format!(
            "{} is not in PATH; put it there: {}",
            folder.display(),
            path_command(folder, surroundings)
        )];
    };
    let other = folders[..at].iter().map(|one| one.join(CLIENT)).find(|path| path.is_file());
    let shadowed = other.map(|other| {
        format!("{} comes first in PATH and is another one: remove it", other.display())
    });
    shadowed.into_iter().collect()
}

fn is_same_folder(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The command that puts a folder into `PATH` for the user's shell.
fn path_command(folder: &Path, surroundings: &Surroundings) -> String {
    let shown = match folder.strip_prefix(&surroundings.home) {
        Ok(rest) => format!("$HOME/{}", rest.display()),
        Err(_) => folder.display().to_string(),
    };
    let shell = Path::new(&surroundings.shell).file_name().and_then(OsStr::to_str);
    let file = match shell {
        Some("fish") => return format!("fish_add_path \"{shown}\""),
        Some("zsh") => ".zshrc",
        Some("bash") => ".bashrc",
        _ => ".profile",
    };
    format!("echo 'export PATH=\"{shown}:$PATH\"' >>~/{file}, then open a new terminal")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(path: &str, shell: &str) -> Surroundings {
        Surroundings {
            executable: "/x/confab".into(),
            home: "/home/u".into(),
            path: path.into(),
            shell: shell.into(),
        }
    }

    #[test]
    fn what_the_shell_still_needs() {
        let folder = Path::new("/home/u/.local/bin");
        let cases = [
            ("/bin", "/bin/bash", "~/.bashrc"),
            ("/bin", "/usr/bin/zsh", "~/.zshrc"),
            ("/bin", "/usr/bin/fish", "fish_add_path \"$HOME/.local/bin\""),
            ("", "", "~/.profile"),
        ];
        for (path, shell, expected) in cases {
            let hints = hints(folder, &surroundings(path, shell));
            assert!(hints.len() == 1 && hints[0].contains(expected), "{hints:?}");
        }
        let found = hints(folder, &surroundings("/bin:/home/u/.local/bin", "/bin/sh"));
        assert_eq!(found, Vec::<String>::new());
    }
}
