//! Chat and mail.

use super::{Begin, Rule, is_digit, shy, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
    token(
        "slack-token",
        "token of Slack",
        "slack_token",
        &["xoxb-", "xoxa-", "xoxp-", "xoxr-", "xoxs-", "xoxc-", "xoxd-", "xoxo-"],
        r"xox[abprscdo]-[0-9a-zA-Z%/+-]{10,}",
        &["xoxb-{d12}-{d13}-{a24}", "xoxp-{d12}-{d12}-{d13}-{h32}", "xoxd-{a60}"],
    ),
    token(
        "slack-rotating-token",
        "rotating token of Slack",
        "slack_token",
        &["xoxe-", "xoxe."],
        r"xoxe(?:\.[a-zA-Z0-9-]+)?-[0-9a-zA-Z-]{10,}",
        &["xoxe.xoxp-1-{a140}", "xoxe-1-{a140}"],
    ),
    token(
        "slack-app-token",
        "app token of Slack",
        "slack_token",
        &["xapp-"],
        r"xapp-[0-9a-zA-Z-]{10,}",
        &["xapp-1-A{u10}-{d13}-{h64}"],
    ),
    shy(
        token(
            "discord-bot-token",
            "bot token of Discord",
            "chat_token",
            &["MTA", "MTE", "MTI", "MTM"],
            r"M[TDj][A-Za-z0-9_-]{22,26}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,45}",
            &["MTA{a21}.{s6}.{s38}"],
        ),
        4.0,
    ),
    Rule {
        begin: Begin::Run(10, is_digit),
        entropy_min: 3.6,
        ..token(
            "telegram-bot-token",
            "bot token of Telegram",
            "chat_token",
            &[":AA"],
            r"[0-9]{8,10}:AA[A-Za-z0-9_-]{32,35}",
            &["{d10}:AA{s33}"],
        )
    },
    token(
        "sendgrid-key",
        "key of SendGrid",
        "sendgrid_key",
        &["SG."],
        r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,}",
        &["SG.{s22}.{s43}"],
    ),
    shy(
        token(
            "mailgun-key",
            "key of Mailgun",
            "mail_key",
            &["key-"],
            r"key-[0-9a-f]{32}",
            &["key-{h32}"],
        ),
        3.0,
    ),
    Rule {
        begin: Begin::Before(32),
        ..token(
            "mailchimp-key",
            "key of Mailchimp",
            "mailchimp_key",
            &["-us0", "-us1", "-us2", "-us3", "-us4", "-us5", "-us6", "-us7", "-us8", "-us9"],
            r"[0-9a-f]{32}-us[0-9]{1,2}",
            &["{h32}-us12"],
        )
    },
    token(
        "mailersend-token",
        "token of MailerSend",
        "mail_key",
        &["mlsn."],
        r"mlsn\.[0-9a-f]{60,}",
        &["mlsn.{h64}"],
    ),
    shy(
        token(
            "resend-key",
            "key of Resend",
            "mail_key",
            &["re_"],
            r"re_[A-Za-z0-9]{6,10}_[A-Za-z0-9]{20,}",
            &["re_{a8}_{a24}"],
        ),
        3.6,
    ),
    token(
        "brevo-key",
        "key of Brevo",
        "mail_key",
        &["xkeysib-", "xsmtpsib-"],
        r"x(?:key|smtp)sib-[0-9a-f]{64}-[A-Za-z0-9]{16}",
        &["xkeysib-{h64}-{a16}"],
    ),
    shy(
        token(
            "mandrill-key",
            "key of Mandrill",
            "mail_key",
            &["md-"],
            r"md-[A-Za-z0-9_-]{22}",
            &["md-{s22}"],
        ),
        3.8,
    ),
    shy(
        token(
            "twilio-key",
            "key of Twilio",
            "twilio_key",
            &[
                "SK0", "SK1", "SK2", "SK3", "SK4", "SK5", "SK6", "SK7", "SK8", "SK9", "SKa", "SKb",
                "SKc", "SKd", "SKe", "SKf",
            ],
            r"SK[0-9a-f]{32}",
            &["SK{h32}"],
        ),
        3.0,
    ),
    shy(
        token(
            "intercom-token",
            "token of Intercom",
            "chat_token",
            &["dG9rO"],
            r"dG9rO[A-Za-z0-9+/=_-]{30,}",
            &["dG9rO{a55}"],
        ),
        3.6,
    ),
    shy(
        token(
            "twitch-token",
            "chat token of Twitch",
            "chat_token",
            &["oauth:"],
            r"oauth:[a-z0-9]{30}",
            &["oauth:{l30}"],
        ),
        3.4,
    ),
];
