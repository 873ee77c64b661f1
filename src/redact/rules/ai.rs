//! Services of artificial intelligence.

use super::{Rule, random, shy, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        harmless: &["sk-ant-api03-XXXX...XXXX"],
        ..token(
            "anthropic-key",
            "key or token of Anthropic",
            "api_key",
            &["sk-ant-"],
            r"sk-ant-[a-z]{2,8}[0-9]{2}-[A-Za-z0-9_-]{32,}",
            &[
                "sk-ant-api03-{s93}AA",
                "sk-ant-oat01-{s95}AA",
                "sk-ant-admin01-{s93}AA",
                "sk-ant-ort01-{s95}",
            ],
        )
    },
    Rule {
        harmless: &["sk-loading-spinner-indigo-container", "sk-container-17-of-the-page-layout"],
        accept: is_not_words,
        ..shy(
            token(
                "openai-key",
                "key of OpenAI, or of a service that spells its keys alike",
                "api_key",
                &["sk-"],
                r"sk-(?:[a-z]{2,12}-(?:v[0-9]-)?)?[A-Za-z0-9_-]{20,}",
                &[
                    "sk-{a20}T3BlbkFJ{a20}",
                    "sk-proj-{s120}",
                    "sk-svcacct-{s120}",
                    "sk-admin-{s120}",
                    "sk-or-v1-{h64}",
                    "sk-{h32}",
                ],
            ),
            3.2,
        )
    },
    token("groq-key", "key of Groq", "api_key", &["gsk_"], r"gsk_[A-Za-z0-9]{40,}", &["gsk_{a52}"]),
    token("xai-key", "key of xAI", "api_key", &["xai-"], r"xai-[A-Za-z0-9_-]{60,}", &["xai-{a80}"]),
    token(
        "perplexity-key",
        "key of Perplexity",
        "api_key",
        &["pplx-"],
        r"pplx-[A-Za-z0-9]{32,}",
        &["pplx-{a48}"],
    ),
    Rule {
        harmless: &["hf_hub_download_with_retries_and_cache"],
        ..shy(
            token(
                "hugging-face-token",
                "token of Hugging Face",
                "api_key",
                &["hf_", "api_org_"],
                r"(?:hf|api_org)_[A-Za-z0-9]{30,}",
                &["hf_{a34}", "api_org_{a34}"],
            ),
            3.4,
        )
    },
    shy(
        token(
            "replicate-token",
            "token of Replicate",
            "api_key",
            &["r8_"],
            r"r8_[A-Za-z0-9]{37,40}",
            &["r8_{a37}"],
        ),
        3.4,
    ),
    shy(
        token(
            "fireworks-key",
            "key of Fireworks AI",
            "api_key",
            &["fw_"],
            r"fw_[A-Za-z0-9]{22,40}",
            &["fw_{a24}"],
        ),
        3.4,
    ),
    token(
        "nvidia-key",
        "key of NVIDIA",
        "api_key",
        &["nvapi-"],
        r"nvapi-[A-Za-z0-9_-]{50,}",
        &["nvapi-{s64}"],
    ),
    token(
        "pinecone-key",
        "key of Pinecone",
        "api_key",
        &["pcsk_"],
        r"pcsk_[A-Za-z0-9_]{40,}",
        &["pcsk_{a6}_{a63}"],
    ),
    token(
        "langsmith-key",
        "key of LangSmith",
        "api_key",
        &["lsv2_", "ls__"],
        r"(?:lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}|ls__[0-9a-f]{32})",
        &["lsv2_pt_{h32}_{h10}", "ls__{h32}"],
    ),
    token(
        "langfuse-key",
        "secret key of Langfuse",
        "api_key",
        &["sk-lf-"],
        r"sk-lf-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        &["sk-lf-{h8}-{h4}-{h4}-{h4}-{h12}"],
    ),
    shy(
        token(
            "cerebras-key",
            "key of Cerebras",
            "api_key",
            &["csk-"],
            r"csk-[a-z0-9]{40,}",
            &["csk-{l48}"],
        ),
        3.2,
    ),
    shy(
        token(
            "voyage-key",
            "key of Voyage AI",
            "api_key",
            &["pa-"],
            r"pa-[A-Za-z0-9_-]{40,46}",
            &["pa-{a43}"],
        ),
        4.0,
    ),
    token(
        "tavily-key",
        "key of Tavily",
        "api_key",
        &["tvly-"],
        r"tvly-(?:dev-|prod-)?[A-Za-z0-9]{28,}",
        &["tvly-{a32}", "tvly-dev-{a32}"],
    ),
    shy(
        token(
            "jina-key",
            "key of Jina AI",
            "api_key",
            &["jina_"],
            r"jina_[A-Za-z0-9_-]{50,}",
            &["jina_{s60}"],
        ),
        3.6,
    ),
    shy(
        token(
            "databricks-token",
            "token of Databricks",
            "api_key",
            &["dapi", "dose", "dkea", "dsapi"],
            r"d(?:api|ose|kea|sapi)[0-9a-f]{32}(?:-[0-9])?",
            &["dapi{h32}", "dapi{h32}-2", "dose{h32}"],
        ),
        3.0,
    ),
    token(
        "wandb-key",
        "key of Weights & Biases",
        "api_key",
        &["wandb_v1_"],
        r"wandb_v1_[A-Za-z0-9_]{40,}",
        &["wandb_v1_{a60}"],
    ),
    Rule {
        harmless: &[
            "sk_buff_head_init_class_with_lock_2",
            "sk_ASIdOrRange_set_cmp_func",
            "sk_live_...",
        ],
        ..random(token(
            "secret-key",
            "key of ElevenLabs, Clerk, WorkOS, Knock or of a service that spells its keys alike",
            "api_key",
            &["sk_"],
            r"sk_[A-Za-z0-9_-]{24,}",
            &["sk_{h48}", "sk_car_{a22}", "sk_V2_hgu_{a40}", "sk_{s43}", "sk_sbox_{l26}"],
        ))
    },
    token(
        "together-key",
        "key of Together AI",
        "api_key",
        &["tgp_v1_"],
        r"tgp_v1_[A-Za-z0-9_-]{40,}",
        &["tgp_v1_{s43}"],
    ),
    shy(
        token("e2b-key", "key of E2B", "api_key", &["e2b_"], r"e2b_[0-9a-f]{40}", &["e2b_{h40}"]),
        3.0,
    ),
    shy(
        token(
            "firecrawl-key",
            "key of Firecrawl",
            "api_key",
            &["fc-"],
            r"fc-[0-9a-f]{32}",
            &["fc-{h32}"],
        ),
        3.0,
    ),
    token(
        "apify-token",
        "token of Apify",
        "api_key",
        &["apify_api_"],
        r"apify_api_[A-Za-z0-9]{30,}",
        &["apify_api_{a36}"],
    ),
    Rule {
        harmless: &["sess-of-the-user-that-signed-in-yesterday-9"],
        ..random(token(
            "openai-session",
            "session token of OpenAI",
            "api_key",
            &["sess-"],
            "sess-[A-Za-z0-9]{40,}",
            &["sess-{a40}"],
        ))
    },
    token(
        "helicone-key",
        "key of Helicone",
        "api_key",
        &["sk-helicone-"],
        "sk-helicone-[A-Za-z0-9-]{24,}",
        &["sk-helicone-{l7}-{l7}-{l7}-{l7}"],
    ),
    shy(
        token(
            "llamacloud-key",
            "key of LlamaCloud",
            "api_key",
            &["llx-"],
            "llx-[A-Za-z0-9_-]{40,}",
            &["llx-{a48}"],
        ),
        3.0,
    ),
    random(token(
        "mem0-key",
        "key of Mem0",
        "api_key",
        &["m0-"],
        "m0-[A-Za-z0-9]{36,44}",
        &["m0-{a40}"],
    )),
    Rule {
        harmless: &["as-described-in-the-documentation"],
        ..random(token(
            "modal-token",
            "token of Modal",
            "api_key",
            &["ak-", "as-"],
            "a[ks]-[A-Za-z0-9]{22}",
            &["ak-{a22}", "as-{a22}"],
        ))
    },
    Rule {
        harmless: &["ak_wait_for_the_next_message_v2"],
        ..random(token(
            "composio-key",
            "key of Composio, or of a service that spells its keys alike",
            "api_key",
            &["ak_"],
            "ak_[A-Za-z0-9_-]{20,}",
            &["ak_{a24}", "ak_{s32}"],
        ))
    },
    random(token(
        "roboflow-key",
        "key of Roboflow",
        "api_key",
        &["rf_"],
        "rf_[A-Za-z0-9]{20,40}",
        &["rf_{a28}"],
    )),
    Rule {
        harmless: &["key_0123456789abcdef"],
        ..shy(
            token(
                "cursor-key",
                "key of Cursor",
                "api_key",
                &["crsr_", "key_"],
                "(?:crsr_[0-9a-f]{40,}|key_[0-9a-f]{64})",
                &["crsr_{h64}", "key_{h64}"],
            ),
            3.0,
        )
    },
    token(
        "braintrust-key",
        "key of Braintrust",
        "api_key",
        &["bt-st-"],
        "bt-st-[A-Za-z0-9_-]{36,}",
        &["bt-st-{a48}"],
    ),
    shy(
        token(
            "luma-key",
            "key of Luma",
            "api_key",
            &["luma-"],
            "luma-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?:-[0-9a-f-]{36})?",
            &["luma-{h8}-{h4}-{h4}-{h4}-{h12}"],
        ),
        3.0,
    ),
    random(token(
        "runpod-key",
        "key of RunPod",
        "api_key",
        &["rpa_"],
        "rpa_[A-Za-z0-9]{40,}",
        &["rpa_{u28}{l16}"],
    )),
    token(
        "lambda-key",
        "key of Lambda",
        "api_key",
        &["secret_"],
        r"secret_[a-z0-9-]{1,24}_[0-9a-f]{32}\.[A-Za-z0-9]{32}",
        &["secret_lab_{h32}.{a32}"],
    ),
    token(
        "amp-token",
        "token of Amp",
        "api_key",
        &["sgamp_"],
        "sgamp_[a-z]{2,10}_[A-Za-z0-9_]{40,}",
        &["sgamp_user_{u26}_{h64}"],
    ),
    random(token(
        "devin-key",
        "key of Devin",
        "api_key",
        &["apk_"],
        "apk_[A-Za-z0-9+/=_-]{30,}",
        &["apk_user_{a60}"],
    )),
    token(
        "context7-key",
        "key of Context7",
        "api_key",
        &["ctx7sk-"],
        "ctx7sk-[0-9a-f]{8}-[0-9a-f-]{27}",
        &["ctx7sk-{h8}-{h4}-{h4}-{h4}-{h12}"],
    ),
    random(token(
        "brave-search-key",
        "key of Brave Search",
        "api_key",
        &["BSA"],
        "BSA[A-Za-z0-9_-]{27,29}",
        &["BSA{a28}"],
    )),
    random(token(
        "v0-key",
        "key of v0",
        "api_key",
        &["v1:"],
        "v1:[A-Za-z0-9]{24}:[A-Za-z0-9]{24}",
        &["v1:{a24}:{a24}"],
    )),
    shy(
        token(
            "gemini-key",
            "key of Gemini",
            "google_api_key",
            &["AQ.Ab"],
            r"AQ\.Ab[A-Za-z0-9_-]{40,}",
            &["AQ.Ab8RN6{s46}"],
        ),
        3.0,
    ),
];

/// `sk-container-and-other-lower-case-words` is the name of a thing: a key has digits and capitals
/// all over, or is hexadecimal.
fn is_not_words(token: &[u8]) -> bool {
    let digits = token.iter().filter(|byte| byte.is_ascii_digit()).count();
    let capitals = token.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    digits + capitals >= 6 || digits >= 3 && capitals >= 2
}
