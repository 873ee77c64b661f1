//! Completions for bash, zsh and fish, made from the table of commands.
//!
//! A script is a list of what may follow which words: the shell looks at the words before the
//! cursor that are no options, and offers what the line of those words says. Options' values are
//! left to the shell's own completion of file names.

use std::collections::BTreeMap;

use crate::cli::table::{self, Entry};

/// What may follow words of a command: next words with their summaries, and options.
#[derive(Debug, Default)]
struct Follow {
    words: Vec<(&'static str, &'static str)>,
    entry: Option<&'static Entry>,
}

/// The completions of one of [`table::SHELLS`].
pub fn script(shell: &str) -> Option<String> {
    let follows = follows();
    match shell {
        "bash" => Some(bash(&follows)),
        "zsh" => Some(zsh(&follows)),
        "fish" => Some(fish(&follows)),
        _ => None,
    }
}

/// By the words so far: `""`, `"config"`, `"config get"`.
fn follows() -> BTreeMap<String, Follow> {
    let mut follows: BTreeMap<String, Follow> = BTreeMap::new();
    for entry in table::shown() {
        let mut so_far = String::new();
        let names: Vec<&str> = entry.words.split(' ').collect();
        for (at, word) in names.iter().enumerate() {
            let words = &mut follows.entry(so_far.clone()).or_default().words;
            let is_last = at + 1 == names.len();
            match words.iter().any(|(known, _)| known == word) {
                true => {}
                false if is_last => words.push((word, entry.summary)),
                false => words.push((word, "commands of this group")),
            }
            so_far += if so_far.is_empty() { "" } else { " " };
            so_far += word;
        }
        let follow = follows.entry(so_far).or_default();
        follow.entry = Some(entry);
        let values = entry.operands.first().map_or(&[][..], |operand| operand.values);
        follow.words.extend(values.iter().map(|value| (*value, "")));
    }
    let commands = follows.get("").map(|follow| follow.words.clone()).unwrap_or_default();
    follows.entry("help".to_owned()).or_default().words = commands;
    follows
}

fn options(follow: &Follow) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    let own = follow.entry.map_or(&[][..], |entry| entry.options);
    own.iter().map(|flag| (flag.name, flag.summary, flag.value.is_some())).chain([(
        "help",
        "how to use it",
        false,
    )])
}

/// The words before the cursor without the options, as a shell variable `so_far`.
fn cases(follows: &BTreeMap<String, Follow>, line: impl Fn(&Follow) -> String) -> String {
    let case =
        |(words, follow): (&String, &Follow)| format!("    '{words}') {} ;;\n", line(follow));
    follows.iter().map(case).collect()
}

fn bash(follows: &BTreeMap<String, Follow>) -> String {
    let cases = cases(follows, |follow| {
        let words = follow.words.iter().map(|(word, _)| (*word).to_owned());
        let options = options(follow).map(|(name, _, _)| format!("--{name}"));
        format!("offers='{}'", words.chain(options).collect::<Vec<_>>().join(" "))
    });
    format!(
        "# Completions of confab for bash, made by `confab completions bash`.
_confab() {{
  local so_far='' offers='' word
  for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do
    case $word in -*) ;; *) so_far+=\"${{so_far:+ }}$word\" ;; esac
  done
  case $so_far in
{cases}  esac
  COMPREPLY=($(compgen -W \"$offers\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))
}}
complete -o default -F _confab confab
"
    )
}

fn zsh(follows: &BTreeMap<String, Follow>) -> String {
    let quoted = |name: &str, summary: &str| match summary {
        "" => format!("'{name}'"),
        summary => format!("'{name}:{}'", summary.replace('\'', "'\\''").replace(':', "\\:")),
    };
    let cases = cases(follows, |follow| {
        let words = follow.words.iter().map(|(word, summary)| quoted(word, summary));
        let options =
            options(follow).map(|(name, summary, _)| quoted(&format!("--{name}"), summary));
        format!("offers=({})", words.chain(options).collect::<Vec<_>>().join(" "))
    });
    format!(
        "#compdef confab
# Completions of confab for zsh, made by `confab completions zsh`.
_confab() {{
  local so_far='' word
  local -a offers
  for word in \"${{(@)words[2,CURRENT-1]}}\"; do
    case $word in -*) ;; *) so_far+=\"${{so_far:+ }}$word\" ;; esac
  done
  case $so_far in
{cases}  esac
  _describe 'confab' offers || _files
}}
if [ \"$funcstack[1]\" = _confab ]; then _confab \"$@\"; else compdef _confab confab; fi
"
    )
}

fn fish(follows: &BTreeMap<String, Follow>) -> String {
    let mut script = "# Completions of confab for fish, made by `confab completions fish`.
function __confab_after
    set -l words (commandline -opc)[2..]
    test \"$argv\" = (string join ' ' -- (string match -v -- '-*' $words))
end
"
    .to_owned();
    for (words, follow) in follows {
        let condition = format!("__confab_after {words}");
        let condition = condition.trim_end();
        let about = |summary: &str| match summary {
            "" => String::new(),
            summary => format!(" -d '{}'", summary.replace('\'', "\\'")),
        };
        for (word, summary) in &follow.words {
            script +=
                &format!("complete -c confab -n '{condition}' -f -a {word}{}\n", about(summary));
        }
        for (name, summary, takes_value) in options(follow) {
            let value = if takes_value { " -r" } else { "" };
            let about = about(summary);
            script += &format!("complete -c confab -n '{condition}' -l {name}{value}{about}\n");
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shells_offer_all_words_and_options() {
        for shell in table::SHELLS {
            let script = script(shell).unwrap();
            for entry in table::shown() {
                for word in entry.words.split(' ') {
                    assert!(script.contains(word), "{shell} {word}");
                }
                for flag in entry.options {
                    assert!(script.contains(flag.name), "{shell} {}", flag.name);
                }
            }
            assert!(!script.contains("daemon "), "{shell}");
        }
        assert!(script("tcsh").is_none());
    }
}
