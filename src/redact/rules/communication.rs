//! Chat and mail.

use super::{Begin, Left, Rule, is_digit, random, shy, token};

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
    Rule {
        left: Left::Alone,
        entropy_min: 4.0,
        ..token(
            "discord-bot-token",
            "bot token of Discord",
            "chat_token",
            // The first three characters are base64 of the first digits of an id.
            &[
                "MTA", "MTE", "MTI", "MTM", "MTQ", "MTU", "MTY", "MTc", "MTg", "MTk", "MjA", "MjE",
                "MjI", "MjM", "MjQ", "MjU", "MjY", "Mjc", "Mjg", "Mjk", "MzA", "MzE", "MzI", "MzM",
                "MzQ", "MzU", "MzY", "Mzc", "Mzg", "Mzk", "NDA", "NDE", "NDI", "NDM", "NDQ", "NDU",
                "NDY", "NDc", "NDg", "NDk", "NTA", "NTE", "NTI", "NTM", "NTQ", "NTU", "NTY", "NTc",
                "NTg", "NTk", "NjA", "NjE", "NjI", "NjM", "NjQ", "NjU", "NjY", "Njc", "Njg", "Njk",
                "NzA", "NzE", "NzI", "NzM", "NzQ", "NzU", "NzY", "Nzc", "Nzg", "Nzk", "ODA", "ODE",
                "ODI", "ODM", "ODQ", "ODU", "ODY", "ODc", "ODg", "ODk", "OTA", "OTE", "OTI", "OTM",
                "OTQ", "OTU", "OTY", "OTc", "OTg", "OTk",
            ],
            r"[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,45}",
            &["MTA{a21}.{s6}.{s38}", "NzE{a21}.{s6}.{s27}", "ODk{a21}.{s6}.{s27}"],
        )
    },
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
    shy(
        token(
            "slack-workflow-token",
            "workflow token of Slack",
            "slack_token",
            &["xwfp-"],
            "xwfp-[0-9a-zA-Z-]{20,}",
            &["xwfp-{d12}-{a40}"],
        ),
        3.0,
    ),
    random(token(
        "discord-user-token",
        "token of a Discord user",
        "chat_token",
        &["mfa."],
        r"mfa\.[A-Za-z0-9_-]{80,}",
        &["mfa.{s84}"],
    )),
    token(
        "onesignal-key",
        "key of OneSignal",
        "chat_token",
        &["os_v2_"],
        "os_v2_[a-z]{3}_[a-z0-9]{80,}",
        &["os_v2_app_{l104}"],
    ),
    token(
        "pubnub-key",
        "secret key of PubNub",
        "chat_token",
        &["sec-c-"],
        "sec-c-[A-Za-z0-9+/=-]{36,}",
        &["sec-c-{a54}"],
    ),
    token(
        "courier-token",
        "token of Courier",
        "mail_key",
        &["pk_prod_", "pk_test_", "dk_prod_", "dk_test_"],
        "[pd]k_(?:prod|test)_[0-9A-Z]{28}",
        &["pk_prod_{u28}"],
    ),
    shy(
        token(
            "matrix-token",
            "access token of Matrix",
            "chat_token",
            &["syt_", "mat_", "mct_", "mar_", "mcr_"],
            "(?:syt_[A-Za-z0-9+/=_-]{4,60}_[A-Za-z]{20}_[A-Za-z0-9]{6}|m[ac][tr]_[A-Za-z0-9]{28,32}_[A-Za-z0-9]{6})",
            &["syt_{b12}_{z20}_{a6}", "mct_{a30}_{a6}"],
        ),
        3.0,
    ),
    shy(
        token(
            "smtp2go-key",
            "key of SMTP2GO",
            "mail_key",
            &["api-"],
            "api-[0-9A-F]{32}",
            &["api-{H32}"],
        ),
        3.0,
    ),
    Rule {
        harmless: &["https://www.make.com/en/integrations"],
        before: r"(?:/open-apis/bot/v2/hook/|/with/key/|\.make\.com/|hc-ping\.com/|\.tines\.com/webhook/)",
        ..token(
            "chat-webhook",
            "key in the address of a web hook",
            "webhook",
            &[
                "/open-apis/bot/v2/hook/",
                "/with/key/",
                ".make.com/",
                "hc-ping.com/",
                ".tines.com/webhook/",
            ],
            "(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}/[0-9a-f]{32}|[A-Za-z0-9_-]{20,43})",
            &[
                "https://open.feishu.cn/open-apis/bot/v2/hook/«{h8}-{h4}-{h4}-{h4}-{h12}»",
                "https://hook.eu1.make.com/«{l32}»",
                "https://maker.ifttt.com/trigger/x/with/key/«{s22}»",
                "https://acme.tines.com/webhook/«{h32}/{h32}»",
            ],
        )
    },
];
