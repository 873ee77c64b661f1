//! Every rule against its own samples, without the scanner: all complaints at once.

use std::collections::BTreeSet;
use std::ops::Range;

use regex::bytes::Regex;

use crate::redact::custom::compile;
use crate::redact::value::entropy;

use super::samples::expand;
use super::{Begin, Rule, all};

/// Expansions of each sample.
const SEEDS: u64 = 50;

#[test]
fn every_rule_is_well_formed() {
    let mut ids = BTreeSet::new();
    for rule in all() {
        let id = rule.id;
        assert!(ids.insert(id), "{id} is there twice");
        let in_id = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!(!id.is_empty() && id.bytes().all(in_id), "{id}");
        let in_kind = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        assert!(!rule.kind.is_empty() && rule.kind.bytes().all(in_kind), "{id}");
        assert!(!rule.detects.is_empty() && !rule.samples.is_empty(), "{id}");
        assert!(!rule.keywords.is_empty(), "{id}");
        for keyword in rule.keywords {
            assert!(keyword.len() >= 3, "{id}: {keyword} is too short");
            // What JSON writes as an escape would hide a keyword from the pass over raw lines.
            assert!(!keyword.contains(['"', '\\']) && keyword.is_ascii(), "{id}: {keyword}");
        }
    }
}

#[test]
fn every_sample_is_found_whole_by_its_own_rule() {
    let mut complaints = Vec::new();
    for rule in all() {
        let expression = whole(rule);
        for template in rule.samples {
            for seed in 0..SEEDS {
                let (text, secret) = expand(template, seed);
                if let Err(reason) = found(rule, &expression, &text, &secret) {
                    complaints.push(format!("{}: {template}, seed {seed}: {reason}", rule.id));
                    break;
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn whole(rule: &Rule) -> Regex {
    compile(&format!("^(?:{}(?:{}){})", rule.before, rule.secret, rule.after)).unwrap()
}

/// Whether a rule finds the secret of a text from one of its keywords on.
fn found(
    rule: &Rule,
    expression: &Regex,
    text: &str,
    secret: &Range<usize>,
) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    let starts = rule.keywords.iter().flat_map(|keyword| text.match_indices(keyword));
    let starts = starts.filter_map(|(at, _)| match rule.begin {
        Begin::Keyword => Some(at),
        Begin::Before(bytes) => at.checked_sub(bytes),
        Begin::Run(bytes_max, of) => {
            let run = bytes[..at].iter().rev().take_while(|byte| of(**byte)).count();
            (run <= bytes_max).then_some(at - run)
        }
    });
    let content = &bytes[secret.clone()];
    let mut reason = "no keyword stands where it should";
    for start in starts {
        let Some(found) = expression.find(&bytes[start..]) else {
            reason = "the expression does not match";
            continue;
        };
        if start + found.end() != secret.end + rule.after.len() || start > secret.start {
            reason = "the match is not the secret";
        } else if entropy(content) < rule.entropy_min {
            reason = "the entropy is too low";
        } else if !(rule.accept)(content) {
            reason = "the last look refuses it";
        } else {
            return Ok(());
        }
    }
    Err(reason)
}
