//! Services of artificial intelligence.

use super::{Rule, shy, token};

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
        &["lsv2_"],
        r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}",
        &["lsv2_pt_{h32}_{h10}"],
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
            &["dapi"],
            r"dapi[0-9a-f]{32}(?:-[0-9])?",
            &["dapi{h32}"],
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
    shy(
        token(
            "elevenlabs-key",
            "key of ElevenLabs, or of a service that spells its keys alike",
            "api_key",
            &["sk_"],
            r"sk_[0-9a-f]{40,64}",
            &["sk_{h48}"],
        ),
        3.0,
    ),
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
];

/// `sk-container-and-other-lower-case-words` is the name of a thing: a key has digits and capitals
/// all over, or is hexadecimal.
fn is_not_words(token: &[u8]) -> bool {
    let digits = token.iter().filter(|byte| byte.is_ascii_digit()).count();
    let capitals = token.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    digits + capitals >= 6 || digits >= 3 && capitals >= 2
}
