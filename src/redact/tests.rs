//! What the module promises, on secrets that are put together at run time.

use std::sync::LazyLock;

use super::rules::RULES;
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
    String::from_utf8(redactor.line(line.as_bytes()).into_owned()).unwrap()
}

/// `count` characters without meaning of the first `radix` of an alphabet.
fn noise(count: usize, radix: usize) -> String {
    let alphabet = b"7f0c3a9e1b5d8246QzKxWvLpTjRmYnHgBsUkEoJi";
    (0..count).map(|at| char::from(alphabet[(at * at + at * 7 + 3) % radix])).collect()
}

/// By rule id: texts that hold a secret, and the secret in each.
fn samples() -> Vec<(&'static str, Vec<(String, String)>)> {
    let plain = |prefix: &[&str], rest: String| {
        let secret = prefix.concat() + &rest;
        (secret.clone(), secret)
    };
    let within =
        |before: &[&str], secret: String, after: &str| (before.concat() + &secret + after, secret);
    let base = |count| noise(count, 40);
    let hex = |count| noise(count, 16);
    let upper = |count| noise(count, 40).to_uppercase();
    let dashed = |count: usize| base(count / 2) + "_-" + &base(count - count / 2 - 2);
    let pem = |label: &str, end: &str| {
        let body = format!("{}\n{}\n", base(64), base(64));
        [&["-----", "BEGIN ", label, "-----\n"].concat(), &body, end].concat()
    };
    let end = |label: &str| ["-----", "END ", label, "-----"].concat();
    let whole = |label: &str| plain(&[&pem(label, &end(label))], String::new());
    vec![
        (
            "anthropic-api-key",
            vec![
                plain(&["sk", "-ant-api03-"], dashed(93)),
                plain(&["sk", "-ant-api03-"], base(500)),
            ],
        ),
        (
            "openai-api-key",
            vec![
                plain(&["sk", "-"], base(20)),
                plain(&["sk", "-proj-"], dashed(300)),
                plain(&["sk", "-"], "a".repeat(40)),
            ],
        ),
        ("aws-access-key", vec![plain(&["AK", "IA"], upper(16)), plain(&["AK", "IA"], upper(30))]),
        (
            "aws-secret-key",
            vec![
                within(&["aws_secret_", "access_key = "], base(40), ""),
                within(&["AWS_SECRET_", "ACCESS_KEY=\""], base(38) + "/+", "\""),
            ],
        ),
        ("github-pat", vec![plain(&["gh", "p_"], base(36)), plain(&["gh", "p_"], base(300))]),
        ("github-fine-grained-pat", vec![plain(&["github", "_pat_"], base(22) + "_" + &base(59))]),
        ("github-oauth", vec![plain(&["gh", "o_"], base(36))]),
        ("github-app", vec![plain(&["gh", "u_"], base(36)), plain(&["gh", "s_"], base(256))]),
        ("github-refresh", vec![plain(&["gh", "r_"], base(76))]),
        (
            "jwt",
            vec![
                plain(&["ey", "J"], base(20) + "." + "eyJ" + &base(30) + "." + &dashed(43)),
                within(&["id_"], ["ey", "Jx.", "eyJ", "x.", "x"].concat(), " "),
            ],
        ),
        ("bearer", vec![plain(&["Bear", "er "], base(20)), plain(&["Bear", "er\t"], dashed(90))]),
        (
            "private-key",
            vec![
                whole("RSA PRIVATE KEY"),
                whole("EC PRIVATE KEY"),
                whole("OPENSSH PRIVATE KEY"),
                whole("PRIVATE KEY"),
                whole("ENCRYPTED PRIVATE KEY"),
                whole("PGP PRIVATE KEY BLOCK"),
                plain(&[&pem("RSA PRIVATE KEY", "")], String::new()),
                plain(&[&pem("RSA PRIVATE KEY", "").replace('\n', "\\n+\"")], String::new()),
                plain(&[&pem("EC PRIVATE KEY", "").replace('\n', "\n    12\u{2192}")], "".into()),
            ],
        ),
        (
            "database-url-password",
            vec![
                within(&["postgres", "://me@corp.io:"], "pa/ss@w?rd#".into(), "@db:5432/x"),
                within(&["postgresql", "://u:"], "1/2".replace('1', "1x"), "@db/x"),
                within(&["mysql", "://root:"], "hunter2".into(), "@localhost"),
                within(&["mongodb", "+srv://u:"], "p%40ss".into(), "@c0.mongodb.net/?a=b"),
                within(&["mongodb", "://u:"], "pässwörd".into(), "@h1,h2/db"),
                within(&["redis", "://:"], "secret".into(), "@cache:6379"),
            ],
        ),
        (
            "url-password",
            vec![
                within(&["https", "://user:"], "pass#word".into(), "@example.com/x"),
                within(&["ftp", "://user:"], "p@ss".into(), "@example.com"),
                within(&["rediss", "://:"], "123?x".replace('?', "z?"), "@cache"),
            ],
        ),
        (
            "slack-token",
            ["b", "a", "p", "r", "s"]
                .map(|kind| plain(&["xo", "x", kind, "-"], "12345-".to_owned() + &base(24)))
                .into(),
        ),
        (
            "slack-rotating-token",
            vec![plain(&["xo", "xe-1-"], base(40)), plain(&["xo", "xe.xoxp-1-"], base(40))],
        ),
        ("slack-app-token", vec![plain(&["xa", "pp-1-"], base(30))]),
        (
            "stripe-secret-key",
            vec![plain(&["sk", "_live_"], base(24)), plain(&["sk", "_test_"], base(99))],
        ),
        (
            "stripe-restricted-key",
            vec![plain(&["rk", "_live_"], base(24)), plain(&["rk", "_test_"], base(24))],
        ),
        ("google-api-key", vec![plain(&["AI", "za"], dashed(35))]),
        ("twilio-api-key", vec![plain(&["S", "K"], hex(32)), plain(&["S", "KA"], hex(31))]),
        ("sendgrid-api-key", vec![plain(&["S", "G."], dashed(22) + "." + &dashed(43))]),
        (
            "mailchimp-api-key",
            vec![plain(&[], hex(32) + "-us" + "5"), plain(&[], hex(32) + "-us" + "21")],
        ),
        ("npm-token", vec![plain(&["np", "m_"], base(36))]),
        ("pypi-token", vec![plain(&["py", "pi-AgEIcHlwaS5vcmc"], dashed(70))]),
        ("confab-api-key", vec![plain(&["cf", "b_"], dashed(40)), plain(&["cf", "b_"], base(40))]),
    ]
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A JSON string in which every character is an escape.
fn escaped_wholly(text: &str) -> String {
    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
    format!("\"{}\"", units.collect::<String>())
}

#[test]
fn every_rule_finds_its_samples_wherever_they_stand() {
    let redactor = redactor();
    let samples = samples();
    assert_eq!(samples.len(), RULES.len());
    for ((id, samples), rule) in samples.iter().zip(&RULES) {
        assert_eq!(*id, rule.id);
        let marker = format!("[REDACTED:{}]", rule.kind.to_uppercase());
        for (text, secret) in samples {
            let clean = text.replace(secret, &marker);
            assert_eq!(redactor.text(text), clean, "{id}");
            let cut_off = rule.id == "private-key" && !text.contains("-----END");
            let (before, after) = ("Grüße:\n", if cut_off { "" } else { " – \"so\"\n" });
            let (text, clean) =
                (format!("{before}{text}{after}"), format!("{before}{clean}{after}"));
            assert_eq!(redactor.text(&text), clean, "{id}");
            let line = |value: String| format!("{{ \"n\" :1e400, \"a\":[{value},\"\\u00e9\"] }}");
            let json = redact(&redactor, &line(quoted(&text)));
            assert_eq!(json, line(quoted(&clean)), "{id}");
            assert_eq!(redact(&redactor, &json), json, "{id}");
            let hidden = redact(&redactor, &line(escaped_wholly(&text)));
            let value: serde_json::Value =
                serde_json::from_str(&hidden.replace("1e400", "1")).unwrap();
            assert_eq!(value["a"][0], clean.as_str(), "{id}");
            if !cut_off {
                let nested = redact(&redactor, &line(quoted(&quoted(&text))));
                assert!(!nested.contains(secret.trim_matches('"')), "{id}: {nested}");
            }
        }
    }
}

#[test]
fn near_misses_stay() {
    let redactor = redactor();
    let texts = [
        ["task", "-management-system-overview-of-everything"].concat(),
        ["disk", "-encryption-for-the-whole-of-the-team"].concat(),
        ["sk", "-toggleable__content-arrow-and-more"].concat(),
        ["sk", "-", &noise(19, 40)].concat(),
        ["sk", "-ant-api03-short"].concat(),
        ["http", "://localhost:3000/users/@me"].concat(),
        ["http", "://localhost:3000?to=a@b.c"].concat(),
        ["ssh", "://git@github.com:22/a/b"].concat(),
        ["postgres", "://localhost:5432/db?mail=a@b"].concat(),
        ["\"url\":\"http", "://host:80\",\"mail\":\"a@b\""].concat(),
        ["AK", "IA", "0123456789abcdef"].concat(),
        ["AK", "IA", &noise(15, 16).to_uppercase()].concat(),
        ["aws_secret_", "access_key = ", &noise(39, 40)].concat(),
        ["gh", "p_", &noise(35, 40)].concat(),
        ["GH", "P_", &noise(36, 40)].concat(),
        ["github", "_pat_", &noise(21, 40)].concat(),
        ["ey", "Jhbc.", "eyJhbc"].concat(),
        ["Bear", "er ", &noise(19, 40)].concat(),
        ["-----", "BEGIN PUBLIC KEY-----\nMIIB\n", "-----", "END PUBLIC KEY-----"].concat(),
        ["grep -r '-----", "BEGIN RSA PRIVATE KEY-----' . || raise PrivateKeyNotFound"].concat(),
        ["xo", "xb-", "123456789"].concat(),
        ["xo", "xe-", "123456789"].concat(),
        ["xa", "pp-", "123456789"].concat(),
        ["sk", "_live_", &noise(23, 40)].concat(),
        ["rk", "_prod_", &noise(24, 40)].concat(),
        ["AI", "za", &noise(34, 40)].concat(),
        ["S", "K", &noise(31, 16), "x"].concat(),
        ["S", "G.", &noise(21, 40), ".", &noise(43, 40)].concat(),
        [&noise(31, 16), "-us", "5"].concat(),
        [&noise(32, 16), "-us", "er"].concat(),
        ["np", "m_", &noise(35, 40)].concat(),
        ["py", "pi-AgEIcHlwaS5vcmc", &noise(69, 40)].concat(),
        ["cf", "b_", &noise(39, 40)].concat(),
    ];
    for text in texts {
        assert!(matches!(redactor.text(&text), Cow::Borrowed(_)), "{text}");
        let line = format!("{{\"content\":{}}}", quoted(&text));
        assert!(matches!(redactor.line(line.as_bytes()), Cow::Borrowed(_)), "{text}");
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
        let redacted = redactor.line(&line);
        assert!(matches!(redacted, Cow::Borrowed(_)), "{}", String::from_utf8_lossy(&redacted));
        assert!(redacted == line);
    }
}

#[test]
fn secret_fields_lose_their_whole_value() {
    let redactor = redactor();
    let cases = [
        (r#"{"password":"x"}"#, r#"{"password":"[REDACTED:SENSITIVE_FIELD]"}"#),
        (
            r#"{"a":{"API_Key":["x",["y"],{"n":"z"},1,""]}}"#,
            r#"{"a":{"API_Key":["[REDACTED:SENSITIVE_FIELD]",["[REDACTED:SENSITIVE_FIELD]"],{"n":"z"},1,""]}}"#,
        ),
        (r#"{"t\u006fken":"x\"y"}"#, r#"{"t\u006fken":"[REDACTED:SENSITIVE_FIELD]"}"#),
        (r#"{"token" : "x", "n":"y"}"#, r#"{"token" : "[REDACTED:SENSITIVE_FIELD]", "n":"y"}"#),
        (
            r#"{"tokens":"x","my_token":"y","":"token"}"#,
            r#"{"tokens":"x","my_token":"y","":"token"}"#,
        ),
        (r#"{"token":"[REDACTED:MINE]"}"#, r#"{"token":"[REDACTED:MINE]"}"#),
    ];
    for (line, expected) in cases {
        assert_eq!(redact(&redactor, line), expected);
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
    assert_eq!(&*redactor.line(secret.as_bytes()), secret.as_bytes());
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
    assert!(*redactor.line(&broken) == clean);
}

/// What must hold for any input whatsoever.
fn check(redactor: &Redactor, line: &[u8]) -> Vec<u8> {
    let redacted = redactor.line(line).into_owned();
    let name =
        || format!("{}\n{}", String::from_utf8_lossy(line), String::from_utf8_lossy(&redacted));
    let is_json = |bytes: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
    assert!(!is_json(line) || is_json(&redacted), "{}", name());
    assert!(*redactor.line(&redacted) == redacted, "{}", name());
    assert!(aligned(line, &redacted), "{}", name());
    // The keyword pass only saves time.
    let scanner = redactor.scanner.as_ref().unwrap();
    let found = match string_edits(scanner, line, 0) {
        Ok(edits) => !edits.is_empty(),
        Err(Malformed) => redact_damaged(scanner, line).is_some(),
    };
    assert_eq!(found, redacted != line, "{}", name());
    redacted
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
            // Object keys stay, and only the last shell is a key.
            assert!(gone || before == "{\"", "{line}");
        }
    }
}

#[test]
fn every_two_secrets_side_by_side() {
    let redactor = redactor();
    let samples: Vec<String> =
        samples().into_iter().flat_map(|(_, samples)| samples).map(|(text, _)| text).collect();
    for first in &samples {
        for second in &samples {
            for between in ["", "-", "/", ":", "@", "\n", " "] {
                let text = format!("{first}{between}{second}");
                let redacted = check(&redactor, quoted(&text).as_bytes());
                let apart = between == " " || between == "\n";
                for secret in [first, second].into_iter().filter(|_| apart) {
                    let secret = quoted(secret);
                    let secret = secret.trim_matches('"').as_bytes();
                    assert!(memchr::memmem::find(&redacted, secret).is_none(), "{text}");
                }
            }
        }
    }
}

#[test]
fn damaged_real_lines_never_show_the_secret() {
    let redactor = redactor();
    let mut random = fastrand::Rng::with_seed(7);
    let lines: Vec<Vec<u8>> = recorded_lines().into_iter().filter(|line| line.len() > 40).collect();
    let samples = samples();
    for round in 0..3000 {
        let line = &lines[random.usize(..lines.len())];
        let mut line = line[..line.len().min(20_000)].to_vec();
        // Into a place that is certainly a value, and not a protected one.
        let (text, _) = &samples[round % RULES.len()].1[0];
        let planted = format!("{{\"planted\":{},", quoted(text));
        let at = planted.len();
        line.splice(0..1, planted.bytes());
        for _ in 0..random.usize(..4) {
            let place = random.usize(at..line.len());
            line[place] = random.u8(..);
        }
        line.truncate(random.usize(at..=line.len()));
        let redacted = check(&redactor, &line);
        let secret = quoted(text);
        let secret = secret.trim_matches('"');
        assert!(memchr::memmem::find(&redacted, secret.as_bytes()).is_none(), "{text}");
    }
}
