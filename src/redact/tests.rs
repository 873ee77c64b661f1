//! What the module promises, on secrets that are put together at run time.

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
        ["bear", "er ", &noise(20, 40)].concat(),
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
