//! What the module promises, on secrets that are put together at run time.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::rules::samples::expand;
use super::*;

fn redactor() -> Redactor {
    let (redactor, errors) = Redactor::new(&Settings::default());
    assert!(errors.is_empty());
    redactor
}

fn custom(patterns: &str) -> Redactor {
    let json = format!(r#"{{"use_default_patterns":false,"patterns":{patterns}}}"#);
    let (redactor, errors) = Redactor::new(&serde_json::from_str(&json).unwrap());
    assert!(errors.is_empty(), "{errors:?}");
    redactor
}

fn redact(redactor: &Redactor, line: &str) -> String {
    String::from_utf8(redactor.line(line.as_bytes()).unwrap().into_owned()).unwrap()
}

/// `count` characters without meaning: hexadecimal digits, or letters and digits.
fn noise(count: usize, radix: usize) -> String {
    let class = if radix == 16 { 'h' } else { 'a' };
    expand(&format!("{{{class}{count}}}"), 11).0
}

/// A text that holds a secret, and where.
struct Sample {
    rule: String,
    text: String,
    secret: Range<usize>,
}

impl Sample {
    fn new(rule: &str, template: &str, seed: u64) -> Sample {
        let (text, secret) = expand(template, seed);
        Sample { rule: rule.to_owned(), text, secret }
    }

    fn secret(&self) -> &str {
        &self.text[self.secret.clone()]
    }
}

/// Of every token rule, and of every way in which a context gives a secret away.
fn samples(seed: u64) -> Vec<Sample> {
    let of_rules = rules::all()
        .flat_map(|rule| rule.samples.iter().map(move |sample| Sample::new(rule.id, sample, seed)));
    let contexts = templates("secrets.txt");
    let of_contexts = contexts.iter().map(|template| Sample::new(template, template, seed));
    of_rules.chain(of_contexts).chain(key_blocks()).collect()
}

/// The templates of a file in `fixtures/redact/contexts`.
fn templates(file: &str) -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/redact/contexts");
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.replace("\\n", "\n")).collect()
}

/// Private keys in armour, whole and cut off, and as terminals, editors and searches show them.
fn key_blocks() -> Vec<Sample> {
    let mut blocks = Vec::new();
    for label in ["RSA ", "EC ", "OPENSSH ", "", "ENCRYPTED "] {
        let begin = ["-----", "BEGIN ", label, "PRIVATE KEY-----"].concat();
        let end = ["-----", "END ", label, "PRIVATE KEY-----"].concat();
        let body: Vec<String> = (0..4).map(|at| expand("{b64}", at).0).collect();
        let (body, last) = (body.join("\n"), expand("{b22}==", 9).0);
        let whole = format!("{begin}\n{body}\n{last}\n{end}");
        let numbered: Vec<String> =
            whole.lines().enumerate().map(|(at, line)| format!("    {at}\u{2192}{line}")).collect();
        let searched: Vec<String> = whole
            .lines()
            .enumerate()
            .map(|(at, line)| format!("src/a.pem:{}:{line}", at + 1))
            .collect();
        for (shape, text) in [
            ("whole", whole.clone()),
            ("carriage returns", whole.replace('\n', "\r\n")),
            ("escaped", whole.replace('\n', "\\n")),
            ("escaped twice", whole.replace('\n', "\\\\n")),
            ("indented", whole.replace('\n', "\n    ")),
            ("added", whole.replace('\n', "\n+")),
            ("numbered", numbered.join("\n")),
            ("searched", searched.join("\n")),
            ("without an end", format!("{begin}\n{body}")),
            ("without a beginning", format!("{body}\n{last}\n{end}")),
        ] {
            let first = text.find(&body[..64]).unwrap();
            let secret = first..first + 64;
            blocks.push(Sample { rule: format!("private-key {shape}"), text, secret });
        }
    }
    blocks
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A JSON string in which every character is an escape.
fn escaped_wholly(text: &str) -> String {
    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
    format!("\"{}\"", units.collect::<String>())
}

/// Whether a text has lost its secret and nothing else but what stands in armour around it.
fn is_gone(sample: &Sample, redacted: &str) -> bool {
    let armoured = sample.rule.starts_with("private-key ");
    let before = &sample.text[..sample.secret.start];
    let after = &sample.text[sample.secret.end..];
    let rest_stays = redacted.starts_with(&format!("{before}[REDACTED:"))
        && redacted.ends_with(&format!("]{after}"));
    !redacted.contains(sample.secret()) && (armoured || rest_stays)
}

#[test]
fn every_rule_finds_its_samples_wherever_they_stand() {
    let redactor = redactor();
    for sample in (0..5).flat_map(samples) {
        let rule = &sample.rule;
        let redacted = redactor.text(&sample.text).into_owned();
        assert!(is_gone(&sample, &redacted), "{rule}: {} -> {redacted}", sample.text);
        assert_eq!(redactor.text(&redacted), redacted, "{rule}");
        let line = |value: String| format!("{{ \"n\" :1e400, \"a\":[{value},\"\\u00e9\"] }}");
        let json = redact(&redactor, &line(quoted(&sample.text)));
        let value: serde_json::Value = serde_json::from_str(&json.replace("1e400", "1")).unwrap();
        assert!(is_gone(&sample, value["a"][0].as_str().unwrap()), "{rule}: {json}");
        assert_eq!(redact(&redactor, &json), json, "{rule}");
        let hidden = redact(&redactor, &line(escaped_wholly(&sample.text)));
        let value: serde_json::Value = serde_json::from_str(&hidden.replace("1e400", "1")).unwrap();
        assert!(is_gone(&sample, value["a"][0].as_str().unwrap()), "{rule}: {hidden}");
        let mut nested = sample.text.clone();
        for level in 1..=3 {
            nested = format!("{{\"text\":{}}}", quoted(&nested));
            let redacted = redact(&redactor, &line(quoted(&nested)));
            assert!(!redacted.contains(sample.secret()), "{rule}, level {level}: {redacted}");
        }
    }
}

#[test]
fn every_rule_has_what_it_needs() {
    let redactor = redactor();
    let mut ids = std::collections::BTreeSet::new();
    for rule in rules::all() {
        let id = rule.id;
        assert!(ids.insert(id), "{id} is there twice");
        assert!(!rule.detects.is_empty() && !rule.kind.is_empty() && !rule.samples.is_empty());
        assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || b"-0123456789".contains(&byte)));
        for keyword in rule.keywords {
            assert!(keyword.len() >= 3, "{id}: {keyword} is too short");
        }
        for template in rule.samples {
            for seed in 0..20 {
                let sample = Sample::new(id, template, seed);
                let (_, findings) = redactor.explain(sample.text.as_bytes()).unwrap();
                let [found] = &findings[..] else { panic!("{id}: {} {findings:?}", sample.text) };
                assert_eq!(found.range, sample.secret, "{id}: {}", sample.text);
                assert!(rule.keywords.iter().any(|keyword| sample.text.contains(keyword)), "{id}");
            }
        }
        for template in rule.harmless {
            let (text, _) = expand(template, 3);
            assert_eq!(redactor.text(&text), text, "{id}");
        }
    }
}

#[test]
fn harmless_texts_stay() {
    let redactor = redactor();
    for template in templates("harmless.txt") {
        for seed in 0..5 {
            let (text, _) = expand(&template, seed);
            assert!(matches!(redactor.text(&text), Cow::Borrowed(_)), "{}", redactor.text(&text));
            for value in [quoted(&text), quoted(&format!("{{\"text\":{}}}", quoted(&text)))] {
                let line = format!("{{\"content\":{value}}}");
                assert_eq!(redact(&redactor, &line), line);
            }
        }
    }
}

#[test]
fn an_escape_sequence_before_a_token_is_a_boundary() {
    let redactor = redactor();
    let secret = ["sk", "-proj-", &noise(40, 40)].concat();
    for before in ["\\n", "\\t", "\\u000a", "\u{1b}[1;32m", "%20", "=", "_", "é", "\"", "/"] {
        let text = format!("x{before}{secret}");
        assert_eq!(redactor.text(&text), format!("x{before}[REDACTED:API_KEY]"));
    }
    for before in ["x", "7", "-", "m", "\\x41", "1m"] {
        let text = format!("{before}{secret}");
        assert_eq!(redactor.text(&text), text);
    }
}

/// Whoever writes JSON in ASCII alone writes arrows and bullets as escapes.
#[test]
fn an_escape_of_a_character_before_a_secret_is_no_part_of_it() {
    let redactor = redactor();
    let word = noise(12, 40);
    let base64 = ["cGFzc3dvcmQ9", "aHVudGVyMjI4OTk5IHBhc3M="].concat();
    // The last one is a backslash, of which what follows is no part either.
    for before in ["\\u2192", "\\u00b7", "\\n", "\\\\u2192", "\\\\"] {
        for (secret, kind) in [
            (format!("pass = {word}"), "pass = [REDACTED:PASSWORD]"),
            (base64.clone(), "[REDACTED:PASSWORD]"),
        ] {
            let line = format!(r#"{{"content":"5{before}{secret} and"}}"#);
            let expected = format!(r#"{{"content":"5{before}{kind} and"}}"#);
            assert_eq!(redact(&redactor, &line), expected);
        }
    }
}

/// A string of a line is searched where its raw content is suspicious, a text everywhere.
#[test]
fn a_string_of_a_line_loses_what_a_text_loses() {
    let redactor = redactor();
    let token = ["gh", "p_", &noise(36, 40)].concat();
    let base64 = ["cGFzc3dvcmQ9", "aHVudGVyMjI4OTk5IHBhc3M="].concat();
    let strong = noise(24, 40);
    let parts = [
        "password",
        "api_key",
        "DB_TOKEN",
        "session",
        "secret",
        "key",
        "Bearer",
        "login",
        " as ",
        "=",
        ": ",
        " = ",
        "::",
        " is ",
        ",",
        ".",
        "(",
        ")",
        "\"",
        "'",
        "`",
        "\\",
        "\n",
        "\t",
        " ",
        "→",
        "é",
        "/",
        "://",
        "@",
        "user:",
        "value",
        "-----BEGIN ",
        "--",
        "identified by ",
        "the ",
        "hunter2hunter2",
        &token,
        &base64,
        &strong,
    ];
    let mut random = fastrand::Rng::with_seed(5);
    let mut n_redacted = 0;
    for _ in 0..40_000 {
        let n_parts = random.usize(2..14);
        let text: String = (0..n_parts).map(|_| parts[random.usize(..parts.len())]).collect();
        let expected = redactor.text(&text);
        n_redacted += usize::from(expected != text);
        let mut line = serde_json::json!({ "content": text }).to_string();
        if random.bool() {
            line = line.replace('→', "\\u2192").replace('é', "\\u00e9").replace('/', "\\/");
        }
        let redacted: serde_json::Value = serde_json::from_str(&redact(&redactor, &line)).unwrap();
        assert_eq!(redacted["content"], *expected, "{line}");
    }
    assert!(n_redacted > 4_000, "{n_redacted}");
}

/// Behind more keywords than are kept in mind, and behind many escapes.
#[test]
fn what_stands_behind_many_keywords_is_found() {
    let redactor = redactor();
    let secret = noise(12, 40);
    for before in ["key: a, ", "\\u0041 ", "\\/ "] {
        let line = |password: &str| {
            format!(r#"{{"content":"{}password = {password}"}}"#, before.repeat(10_000))
        };
        assert!(redact(&redactor, &line(&secret)) == line("[REDACTED:PASSWORD]"), "{before}");
    }
}

/// Every file below a folder whose name ends in `.jsonl`.
fn jsonl_files(folder: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            jsonl_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
}

fn recorded_lines() -> Vec<Vec<u8>> {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut files = Vec::new();
    jsonl_files(&fixtures.join("redact/clean"), &mut files);
    assert!(!files.is_empty());
    jsonl_files(&fixtures.join("transcripts"), &mut files);
    let mut lines = Vec::new();
    for file in files {
        lines.extend(std::fs::read(file).unwrap().split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
    }
    lines
}

#[test]
fn recorded_lines_come_through_as_they_are() {
    let redactor = redactor();
    for line in recorded_lines() {
        let redacted = redactor.line(&line).unwrap();
        assert!(matches!(redacted, Cow::Borrowed(_)), "{}", String::from_utf8_lossy(&redacted));
        assert!(redacted == line);
    }
}

#[test]
fn secret_fields_lose_their_whole_value() {
    let redactor = redactor();
    let secret = expand("{a12}", 3).0;
    let cases = [
        (r#"{"password":"$"}"#, r#"{"password":"[REDACTED:SENSITIVE_FIELD]"}"#),
        (
            r#"{"a":{"db_Password":["$",["$"],{"n":"z"},1,""]}}"#,
            r#"{"a":{"db_Password":["[REDACTED:SENSITIVE_FIELD]",["[REDACTED:SENSITIVE_FIELD]"],{"n":"z"},1,""]}}"#,
        ),
        (r#"{"t\u006fken":"$\"y"}"#, r#"{"t\u006fken":"[REDACTED:SENSITIVE_FIELD]"}"#),
        (r#"{"token" : "$", "n":"y"}"#, r#"{"token" : "[REDACTED:SENSITIVE_FIELD]", "n":"y"}"#),
        (
            r#"{"name":"DB_PASSWORD","value":"$"}"#,
            r#"{"name":"DB_PASSWORD","value":"[REDACTED:SENSITIVE_FIELD]"}"#,
        ),
        (
            r#"[{"value":"$","key":"apiToken"},{"value":"$","key":"color"}]"#,
            r#"[{"value":"[REDACTED:SENSITIVE_FIELD]","key":"apiToken"},{"value":"$","key":"color"}]"#,
        ),
        (
            r#"{"tokens":"x","token_type":"$","":"token"}"#,
            r#"{"tokens":"x","token_type":"$","":"token"}"#,
        ),
        (r#"{"token":"[REDACTED:MINE]"}"#, r#"{"token":"[REDACTED:MINE]"}"#),
        (r#"{"password=$":1}"#, r#"{"password=[REDACTED:PASSWORD]":1}"#),
        (r#"{"lines":["key:","x"]}"#, r#"{"lines":["key:","x"]}"#),
    ];
    for (line, expected) in cases {
        let expected = expected.replace('$', &secret);
        assert_eq!(redact(&redactor, &line.replace('$', &secret)), expected);
    }
}

#[test]
fn protected_paths_never_change() {
    let secret = ["AK", "IA", &noise(16, 16).to_uppercase()].concat();
    let hot = |template: &str| template.replace('$', &secret);
    let redactor = redactor();
    let protected = [
        r#"{"uuid":"$","parentUuid":"$","leafUuid":"$","sessionId":"$","requestId":"$"}"#,
        r#"{"timestamp":"$","toolUseID":"$","agentId":"$","logicalParentUuid":"$"}"#,
        r#"{"message":{"id":"$","content":[{"type":"tool_use","id":"$"}]}}"#,
        r#"{"message":{"content":[{"tool_use_id":"$","type":"tool_result","content":[{"source":{"data":"$"}}]}]}}"#,
        r#"{"message":{"content":[{"type":"thinking","thinking":"","signature":"$"}]}}"#,
        r#"{"message":{"content":[{"type":"redacted_thinking","data":"$"}]}}"#,
        r#"{"message":{"content":[{"type":"image","source":{"type":"base64","data":"$"}}]}}"#,
        r#"{"toolUseResult":{"agentId":"$","file":{"base64":"$"}}}"#,
        r#"{"data":{"message":{"uuid":"$","message":{"content":[{"id":"$"}]}}}}"#,
    ];
    for template in protected {
        assert_eq!(redact(&redactor, &hot(template)), hot(template));
    }
    let open = [
        r#"{"message":{"content":[{"type":"thinking","thinking":"$"}]}}"#,
        r#"{"message":{"content":[{"type":"tool_use","input":{"id":"$","uuid":"$","data":"$"}}]}}"#,
        r#"{"toolUseResult":{"stdout":"$","id":"$","signature":"$"}}"#,
        r#"{"message":{"uuid":"$"},"signature":"$","content":"$"}"#,
        r#"{"message":{"content":[{"source":{"url":"$"}}]},"cwd":"$","gitBranch":"$"}"#,
        r#"["$",{"uuid":{"x":"$"}}]"#,
        r#"{"message":{"content":[{"content":[{"type":"text","text":"$","id":"$"}]}]}}"#,
    ];
    for template in open {
        assert_eq!(redact(&redactor, &hot(template)), template.replace('$', "[REDACTED:AWS_KEY]"));
    }
}

#[test]
fn patterns_of_the_configuration() {
    let cases = [
        (r#"[{"pattern":"x-[0-9]+","type":"x_key"}]"#, "a x-12 b", "a [REDACTED:X_KEY] b"),
        (
            r#"[{"pattern":"(k)=([a-z]+)(!)?","type":"k","capture_group":2}]"#,
            "k=abc k=def!",
            "k=[REDACTED:K] k=[REDACTED:K]!",
        ),
        (r#"[{"pattern":"a(b)?","type":"k","capture_group":1}]"#, "a ab", "a a[REDACTED:K]"),
        (r#"[{"pattern":"a","type":"k","capture_group":9}]"#, "a", "a"),
        (r#"[{"pattern":"b","type":"$0 ${x}\"\\]é"}]"#, "abc", "a[REDACTED:$0_${X}____]c"),
        (r#"[{"pattern":"x*","type":"k"}]"#, "axxb", "a[REDACTED:K]b"),
        (r#"[{"pattern":"a.","type":"k"}]"#, "aäb", "[REDACTED:K]b"),
        (r#"[{"pattern":".b","type":"k"}]"#, "aäbc", "a[REDACTED:K]c"),
        (r#"[{"pattern":"a .RED","type":"k"}]"#, "xa [REDACTED:KEY] b", "x[REDACTED:K] b"),
        (r#"[{"pattern":"KEY. b","type":"k"}]"#, "a [REDACTED:KEY] bc", "a [REDACTED:K]c"),
        (r#"[{"pattern":"[äö]+","type":"k"}]"#, "aäöüb", "a[REDACTED:K]üb"),
        (r#"[{"pattern":"[A-Z_]+","type":"key"}]"#, "A b", "[REDACTED:KEY] b"),
        (r#"[{"pattern":"abc","type":"x"},{"pattern":"cd","type":"y"}]"#, "abcd", "[REDACTED:X]"),
        (
            r#"[{"pattern":"bcd","type":"x"},{"pattern":"abcde","type":"y"}]"#,
            "abcdef",
            "[REDACTED:Y]f",
        ),
        (r#"[{"field_pattern":"^f$","type":"k"}]"#, "text", "text"),
    ];
    for (patterns, text, expected) in cases {
        let redactor = custom(patterns);
        assert_eq!(redactor.text(text), expected, "{patterns}");
        assert_eq!(redactor.text(expected), expected, "{patterns}");
        let line = |text: &str| format!("[{}]", quoted(text));
        assert_eq!(redact(&redactor, &line(text)), line(expected), "{patterns}");
    }
    let fields = custom(r#"[{"field_pattern":"(?i)^pin","pattern":"[0-9]+","type":"pin"}]"#);
    assert_eq!(
        redact(&fields, r#"{"PIN_1":["a 12",{"b":"34"}],"pin":"\u0031","spin":"56"}"#),
        r#"{"PIN_1":["a [REDACTED:PIN]",{"b":"34"}],"pin":"[REDACTED:PIN]","spin":"56"}"#,
    );
}

#[test]
fn a_pattern_that_does_not_compile_is_reported_and_the_rest_runs() {
    let json = r#"{"patterns":[{"name":"broken","pattern":"(","type":"a"},{"name":"nothing"},
        {"name":"good","pattern":"good","type":"g"},{"name":"field","field_pattern":"["}]}"#;
    let (redactor, errors) = Redactor::new(&serde_json::from_str(json).unwrap());
    let errors: Vec<String> = errors.iter().map(|error| error.to_string()).collect();
    assert_eq!(errors.len(), 3);
    assert!(errors[0].starts_with("compile pattern of redaction pattern \"broken\": "));
    assert_eq!(errors[1], "redaction pattern \"nothing\" is empty");
    let secret = ["gh", "p_", &noise(36, 40)].concat();
    assert_eq!(redactor.text(&format!("good {secret}")), "[REDACTED:G] [REDACTED:GITHUB_TOKEN]");
}

#[test]
fn switched_off_everything_passes() {
    assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), Settings::default());
    let settings: Settings = serde_json::from_str(r#"{"enabled":false}"#).unwrap();
    let (redactor, errors) = Redactor::new(&settings);
    let secret = ["gh", "p_", &noise(36, 40)].concat();
    assert!(errors.is_empty());
    assert_eq!(redactor.text(&secret), secret);
    assert_eq!(&*redactor.line(secret.as_bytes()).unwrap(), secret.as_bytes());
}

#[test]
fn a_damaged_line_is_redacted_as_text() {
    let redactor = redactor();
    let secret = ["gh", "p_", &noise(36, 40)].concat();
    let hidden = secret.replace("gh", "\\u0067h");
    let lines = [
        format!("{{\"a\":\"{secret}"),
        format!("{{\"a\":\"{hidden}"),
        format!("{{\"a\":\"{secret}\"}}{{\"b\":1}}"),
        format!("\0{{\"a\":\"{secret}\"}}"),
        format!("C:\\new\\{secret}"),
        format!("\\{secret}\\n{hidden}\\"),
        format!("{{\"uuid\":\"{secret}\""),
        secret.clone(),
    ];
    for line in lines {
        let clean = line.replace(&secret, "[REDACTED:GITHUB_TOKEN]");
        let clean = clean.replace(&hidden, "[REDACTED:GITHUB_TOKEN]");
        assert_eq!(redact(&redactor, &line), clean);
    }
    let broken = [b"{\"a\":\"\xff\xfe ", secret.as_bytes(), b"\xf0\x9f\"}"].concat();
    let clean = [&b"{\"a\":\"\xff\xfe [REDACTED:GITHUB_TOKEN]\xf0\x9f\"}"[..]].concat();
    assert!(*redactor.line(&broken).unwrap() == clean);
}

/// What must hold for any input whatsoever.
fn check(redactor: &Redactor, line: &[u8]) -> Vec<u8> {
    let redacted = redactor.line(line).unwrap().into_owned();
    let name =
        || format!("{}\n{}", String::from_utf8_lossy(line), String::from_utf8_lossy(&redacted));
    let is_json = |bytes: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
    assert!(!is_json(line) || is_json(&redacted), "{}", name());
    assert!(*redactor.line(&redacted).unwrap() == redacted, "{}", name());
    assert!(aligned(line, &redacted), "{}", name());
    // The keyword pass only saves time.
    assert!(*thorough().line(line).unwrap() == redacted, "{}", name());
    let (explained, findings) = redactor.explain(line).unwrap();
    assert!(explained == redacted && findings.is_empty() == (redacted == line), "{}", name());
    redacted
}

/// A redactor that decodes every string: a pattern of the configuration could match anywhere.
fn thorough() -> &'static Redactor {
    static THOROUGH: LazyLock<Redactor> = LazyLock::new(|| {
        let json = r#"{"patterns":[{"pattern":"[^\\x00-\\x{10FFFF}]","type":"never"}]}"#;
        let (redactor, errors) = Redactor::new(&serde_json::from_str(json).unwrap());
        assert!(errors.is_empty(), "{errors:?}");
        redactor
    });
    &THOROUGH
}

/// Whether the bytes between the markers are those of the original, in order.
fn aligned(line: &[u8], redacted: &[u8]) -> bool {
    static MARKER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[REDACTED:[A-Z_]+\]").unwrap());
    let pieces: Vec<&[u8]> = MARKER.split(redacted).collect();
    let [first, middle @ .., last] = &pieces[..] else { return line == redacted };
    let Some(mut rest) = line.strip_prefix(*first).and_then(|rest| rest.strip_suffix(*last)) else {
        return false;
    };
    middle.iter().all(|piece| {
        let found = memchr::memmem::find(rest, piece);
        rest = &rest[found.map_or(0, |at| at + piece.len())..];
        found.is_some()
    })
}

#[test]
fn all_short_sequences_of_tricky_tokens() {
    const LENGTH: u32 = 4;
    let redactor = redactor();
    let secret = ["gh", "p_", &noise(36, 40)].concat();
    let begin = ["-----", "BEGIN PRIVATE KEY-----"].concat();
    let end = ["-----", "END PRIVATE KEY-----"].concat();
    let url = ["://", "u:"].concat();
    // With the empty token these are all shorter sequences as well.
    let tokens = [
        "",
        "\"",
        "\\",
        "\\n",
        "\\u0040",
        "\\ud83d",
        "{",
        "}",
        ",",
        ":",
        "[",
        "@",
        "sk-",
        "é",
        "password",
        &secret,
        &begin,
        &end,
        &url,
        "0123456789abcdef",
    ];
    let shells = [("", ""), ("{\"a\":\"", "\"}"), ("{\"", "\":\"b\"}")];
    for index in 0..tokens.len().pow(LENGTH) {
        let digit = |place| index / tokens.len().pow(place) % tokens.len();
        let middle: String = (0..LENGTH).map(|place| tokens[digit(place)]).collect();
        for (before, after) in shells {
            let line = format!("{before}{middle}{after}");
            let redacted = check(&redactor, line.as_bytes());
            let gone = memchr::memmem::find(&redacted, secret.as_bytes()).is_none();
            assert!(gone, "{line}");
        }
    }
}

#[test]
fn two_secrets_side_by_side() {
    let redactor = redactor();
    let mut random = fastrand::Rng::with_seed(5);
    let samples = samples(1);
    for _ in 0..6000 {
        let mut one = || &samples[random.usize(..samples.len())];
        let (first, second) = (one(), one());
        let between = ["", "-", "/", ":", "@", "\n", " "][random.usize(..7)];
        let text = format!("{}{between}{}", first.text, second.text);
        let redacted = check(&redactor, quoted(&text).as_bytes());
        for sample in [first, second].into_iter().filter(|_| between == "\n") {
            let secret = quoted(sample.secret());
            let secret = secret.trim_matches('"').as_bytes();
            let gone = memchr::memmem::find(&redacted, secret).is_none();
            assert!(gone, "{}: {text} -> {}", sample.rule, String::from_utf8_lossy(&redacted));
        }
    }
}

#[test]
fn damaged_real_lines_never_show_the_secret() {
    let redactor = redactor();
    let mut random = fastrand::Rng::with_seed(7);
    let lines: Vec<Vec<u8>> = recorded_lines().into_iter().filter(|line| line.len() > 40).collect();
    let samples = samples(2);
    for round in 0..3000 {
        let line = &lines[random.usize(..lines.len())];
        let mut line = line[..line.len().min(20_000)].to_vec();
        // Into a place that is certainly a value, and not a protected one.
        let sample = &samples[round % samples.len()];
        let planted = format!("{{\"planted\":{},", quoted(&sample.text));
        let at = planted.len();
        line.splice(0..1, planted.bytes());
        for _ in 0..random.usize(..4) {
            let place = random.usize(at..line.len());
            line[place] = random.u8(..);
        }
        line.truncate(random.usize(at..=line.len()));
        let redacted = check(&redactor, &line);
        let secret = quoted(sample.secret());
        let secret = secret.trim_matches('"');
        let gone = memchr::memmem::find(&redacted, secret.as_bytes()).is_none();
        assert!(gone, "{}: {}", sample.rule, String::from_utf8_lossy(&redacted));
    }
}

/// What fails inside of redaction, for whatever reason, withholds the line and ends nothing.
#[test]
fn a_failure_inside_withholds_the_line() {
    let line = b"{}";
    let fail = |at: usize| -> Result<u8, Withheld> { Ok(line[at]) };
    assert_eq!(guarded(|| fail(line.len())), Err(Withheld));
    assert_eq!(guarded(|| fail(0)), Ok(b'{'));
    assert_eq!(checked(line, b"{".to_vec()), Err(Withheld));
    assert_eq!(checked(b"{", b"}".to_vec()), Ok(b"}".to_vec()));
}

/// What fuzzing has found: the marker of a key is no name for its value; a token may begin behind
/// an escaped line end; a torn line may be torn inside of strings within strings.
#[test]
fn what_fuzzing_has_found() {
    let redactor = redactor();
    let secret = expand("ghp_{a36}", 5).0;
    let value = expand("{a12}", 5).0;
    let line = format!(r#"{{"{secret}":"{value}","pass:{value}":"{value}"}}"#);
    let redacted = redact(&redactor, &line);
    assert!(redacted.contains(&format!(r#"TOKEN]":"{value}""#)), "{redacted}");
    assert_eq!(redact(&redactor, &redacted), redacted);
    let (key, _) = expand("LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ{b300}", 5);
    let line = |key: &str| format!(r#"{{"a":"so\n{key}"}}"#);
    assert_eq!(redact(&redactor, &line(&key)), line("[REDACTED:PRIVATE_KEY]"));
    let mut text = format!("so:\nrequirepass {value}\nmysqldump -p'{value}' app\n");
    for level in 0..=3 {
        text = quoted(&format!("[{text}]"));
        let torn = format!("{{\"a\":{text},");
        let redacted = redact(&redactor, &torn);
        assert!(!redacted.contains(&value), "level {level}: {redacted}");
    }
    // A byte that continues no character stands at the beginning of a secret.
    let line = [br#"{"PRIVATEKEY":["","#, &b"\"\xb6"[..], value.as_bytes(), b"\"]}"].concat();
    let redacted = redactor.line(&line).expect("nothing has gone wrong").into_owned();
    assert_eq!(redacted, br#"{"PRIVATEKEY":["","[REDACTED:SENSITIVE_FIELD]"]}"#);
}

/// JSON Web Keys as members, in strings, in source code and cut off.
#[test]
fn private_members_of_json_web_keys() {
    let redactor = redactor();
    let secret = expand("{s43}", 7).0;
    let of_line = |members: &str| format!(r#"{{"key":{{{members}}}}}"#);
    let lines = [
        of_line(&format!(r#""kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1","d":"{secret}""#)),
        of_line(&format!(r#""d":"{secret}","kty":"OKP""#)),
        of_line(&format!(r#""text":"const jwk = {{ kty: 'RSA', n: 'x', d: '{secret}' }};""#)),
        of_line(&format!(r#""text":"{{\"dp\": \"{secret}\",\n\"kty\":\"RSA\"""#)),
    ];
    for line in lines {
        let expected = line.replace(&secret, "[REDACTED:PRIVATE_KEY]");
        assert_eq!(redact(&redactor, &line), expected);
    }
    // Without `kty` it is a shape of SVG, a hash, anything; without the members it is public.
    let lines = [
        of_line(&format!(r#""d":"{secret}""#)),
        of_line(&format!(r#""kty":"EC","x":"{secret}","y":"{secret}""#)),
    ];
    for line in lines {
        assert_eq!(redact(&redactor, &line), line);
    }
}
