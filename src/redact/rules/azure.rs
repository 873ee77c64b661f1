//! The cloud Azure, most of whose keys carry a fixed signature inside.

use super::{Begin, Left, Rule, is_base64, token};

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
        begin: Begin::Run(80, is_base64),
        left: Left::Boundary,
        entropy_min: 4.0,
        ..token(
            "azure-key",
            "key of Azure Storage, Cosmos DB, Batch, Service Bus, Event Hubs, IoT or Functions",
            "azure_secret",
            &[
                "+ASt", "ACDb", "+ABa", "+ASb", "+AEh", "+ARm", "AIoT", "AzCa", "AzFu", "APIM",
                "AZEG",
            ],
            r"[A-Za-z0-9+/_-]{28,80}(?:\+A(?:St|Ba|Sb|Eh|Rm)|ACDb|AIoT|AzCa|AzFu|APIM|AZEG)[A-Za-z0-9+/_-]{5,6}={1,2}",
            &["{b76}+ASt{b6}==", "{b76}ACDb{b6}==", "{b33}+ASb{b6}=", "{a44}AzFu{a6}=="],
        )
    },
    Rule {
        begin: Begin::Run(90, is_base64),
        left: Left::Boundary,
        entropy_min: 4.0,
        ..token(
            "azure-unpadded-key",
            "key or token of Azure AI Search, DevOps, OpenAI or a container registry",
            "azure_secret",
            &["AzSe", "+ACR", "AZDO", "ACOG"],
            r"[A-Za-z0-9+/]{40,90}(?:AzSe|\+ACR|AZDO|ACOG)[A-Za-z0-9+/]{4,8}",
            &["{a42}AzSe{a6}", "{b42}+ACR{a6}", "{a76}AZDO{a4}", "{a76}ACOG{a4}"],
        )
    },
    Rule {
        begin: Begin::Run(60, is_base64),
        left: Left::Boundary,
        entropy_min: 4.0,
        ..token(
            "azure-annotated-key",
            "key of any service of Azure in the common annotated form",
            "azure_secret",
            &["JQQJ9"],
            r"[A-Za-z0-9]{30,60}JQQJ9[A-Za-z0-9]{20,40}={0,2}",
            &["{a52}JQQJ99{a26}"],
        )
    },
];
