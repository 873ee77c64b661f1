//! The cloud Azure, most of whose keys carry a fixed signature inside.

use super::{Begin, Left, Rule, token};

/// The rules of this family.
pub const RULES: &[Rule] = &[
    Rule {
        begin: Begin::Before(3),
        entropy_min: 3.6,
        ..token(
            "azure-client-secret",
            "client secret of Entra ID",
            "azure_secret",
            &["8Q~", "7Q~"],
            r"[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,40}",
            &["{a3}8Q~{a34}", "{a3}7Q~{a31}"],
        )
    },
    Rule {
        begin: Begin::Before(76),
        left: Left::Alone,
        entropy_min: 3.6,
        ..token(
            "azure-storage-key",
            "key of Azure Storage, Cosmos DB, Batch or API Management",
            "azure_secret",
            &["+ASt", "ACDb", "+ABa", "APIM"],
            r"[A-Za-z0-9+/]{76}(?:\+ASt|ACDb|\+ABa|APIM)[A-Za-z0-9+/]{5,6}={1,2}",
            &["{b76}+ASt{b6}==", "{b76}ACDb{b6}=="],
        )
    },
    Rule {
        begin: Begin::Before(33),
        left: Left::Alone,
        entropy_min: 3.6,
        ..token(
            "azure-bus-key",
            "key of Azure Service Bus, Event Hubs, Relay, IoT Hub, Event Grid or Cache for Redis",
            "azure_secret",
            &["+ASb", "+AEh", "+ARm", "AIoT", "AZEG", "AzCa"],
            r"[A-Za-z0-9+/]{33}(?:\+A(?:Sb|Eh|Rm)|AIoT|AZEG|AzCa)[A-Za-z0-9+/]{5,6}=",
            &["{b33}+ASb{b6}=", "{b33}AIoT{b6}="],
        )
    },
    Rule {
        begin: Begin::Before(44),
        left: Left::Alone,
        entropy_min: 3.6,
        ..token(
            "azure-functions-key",
            "key of Azure Functions",
            "azure_secret",
            &["AzFu"],
            "[A-Za-z0-9_-]{44}AzFu[A-Za-z0-9_-]{5,6}={1,2}",
            &["{s44}AzFu{s6}=="],
        )
    },
    Rule {
        begin: Begin::Before(42),
        left: Left::Alone,
        entropy_min: 3.6,
        ..token(
            "azure-search-key",
            "key of Azure AI Search or of a container registry",
            "azure_secret",
            &["AzSe", "+ACR"],
            r"[A-Za-z0-9+/]{42}(?:AzSe|\+ACR)[A-Za-z0-9]{6}",
            &["{a42}AzSe{a6}", "{b42}+ACR{a6}"],
        )
    },
    Rule {
        begin: Begin::Before(76),
        left: Left::Alone,
        entropy_min: 3.6,
        ..token(
            "azure-devops-token",
            "token of Azure DevOps or key of Azure OpenAI",
            "azure_secret",
            &["AZDO", "ACOG"],
            "[A-Za-z0-9]{76}(?:AZDO|ACOG)[A-Za-z0-9]{4}",
            &["{a76}AZDO{a4}", "{a76}ACOG{a4}"],
        )
    },
    Rule {
        begin: Begin::Before(52),
        left: Left::Alone,
        entropy_min: 3.6,
        ..token(
            "azure-annotated-key",
            "key of any service of Azure in the common annotated form",
            "azure_secret",
            &["JQQJ9"],
            "[A-Za-z0-9]{52}JQQJ9[A-Za-z0-9]{20,40}={0,2}",
            &["{a52}JQQJ99{a26}"],
        )
    },
];
