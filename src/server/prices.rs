//! What tokens cost: a table that the operator may replace.
//!
//! A file `{"MODEL": {"input": 3, "output": 15, "cache_read": 0.3, "cache_creation": 3.75}}`: US
//! dollars for a million tokens; a row may say something for people in `about`. A model has the
//! price of the longest name that it begins with, so that one row is for all days of a model. What
//! is in no row costs nothing that is known. Nobody but the operator knows what they really pay:
//! the rows of this program say that they are defaults, to be checked.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::files::read_bounded;
use crate::wire::{ModelTokens, PriceEntry};

/// Bytes of a table.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Tokens that a price is for.
const TOKENS: f64 = 1e6;
/// The list prices of the API as they were known when this version was made: each row says that it
/// is to be checked.
const DEFAULT: &str = include_str!("prices.json");

/// A table of prices. As JSON, it is a file of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Prices(BTreeMap<String, Price>);

/// US dollars for a million tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    input: f64,
    output: f64,
    cache_read: f64,
    cache_creation: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    about: Option<String>,
}

impl Prices {
    /// The table in a file, or the one of this program.
    ///
    /// # Errors
    /// When the file cannot be read, or is no such table.
    pub fn load(path: Option<&Path>) -> Result<Prices> {
        let Some(path) = path else { return Prices::parse(DEFAULT.as_bytes()) };
        let what = || format!("read prices {}", path.display());
        let bytes = read_bounded(path, FILE_BYTES_MAX).context(what)?;
        Prices::parse(&bytes).map_err(|error| {
            Error::new(what()).caused_by(error).with_hint(
                r#"{"MODEL": {"input": 3, "output": 15, "cache_read": 0.3, "cache_creation": 3.75}}"#,
            )
        })
    }

    fn parse(text: &[u8]) -> Result<Prices> {
        let table: BTreeMap<String, Price> =
            serde_json::from_slice(text).context(|| "parse it".into())?;
        let is_price = |price: &Price| {
            [price.input, price.output, price.cache_read, price.cache_creation]
                .iter()
                .all(|dollars| dollars.is_finite() && *dollars >= 0.0)
        };
        match table.iter().find(|(_, price)| !is_price(price)) {
            Some((model, _)) => Err(Error::new(format!("a price of {model} is negative"))),
            None => Ok(Prices(table)),
        }
    }

    /// All rows, by model.
    pub fn entries(&self) -> Vec<PriceEntry> {
        let entry = |(model, price): (&String, &Price)| PriceEntry {
            model: model.clone(),
            input: price.input,
            output: price.output,
            cache_read: price.cache_read,
            cache_creation: price.cache_creation,
            about: price.about.clone(),
        };
        self.0.iter().map(entry).collect()
    }

    /// What tokens cost in US dollars; `None` for a model without a price.
    pub fn cost(&self, tokens: &ModelTokens) -> Option<f64> {
        let model = tokens.model.as_deref()?;
        let price = (0..=model.len()).rev().find_map(|end| self.0.get(model.get(..end)?))?;
        let dollars = |count: u64, price: f64| count as f64 * price / TOKENS;
        Some(
            dollars(tokens.input, price.input)
                + dollars(tokens.output, price.output)
                + dollars(tokens.cache_read, price.cache_read)
                + dollars(tokens.cache_creation, price.cache_creation),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(model: &str) -> ModelTokens {
        ModelTokens {
            model: Some(model.into()),
            input: 1_000_000,
            output: 2_000_000,
            cache_read: 10_000_000,
            cache_creation: 4_000_000,
            cost: None,
        }
    }

    #[test]
    fn a_model_costs_what_the_longest_name_says() {
        let table = br#"{"m": {"input": 1, "output": 0, "cache_read": 0, "cache_creation": 0},
            "m-2": {"input": 3, "output": 15, "cache_read": 0.5, "cache_creation": 3.75}}"#;
        let prices = Prices::parse(table).unwrap();
        assert_eq!(prices.cost(&tokens("m-2-20260101")), Some(3.0 + 30.0 + 5.0 + 15.0));
        assert_eq!(prices.cost(&tokens("m-3")), Some(1.0));
        assert_eq!(prices.cost(&tokens("ü")), None);
        assert_eq!(prices.cost(&ModelTokens::default()), None);
    }

    #[test]
    fn the_table_of_this_program_knows_the_common_models() {
        let prices = Prices::load(None).unwrap();
        for model in ["claude-sonnet-4-5-20250929", "claude-opus-4-20250514", "claude-opus-4-5"] {
            assert!(prices.cost(&tokens(model)).is_some(), "{model}");
        }
        assert_eq!(prices.cost(&tokens("<synthetic>")), None);
        // None of them is told as if it were certain.
        for entry in prices.entries() {
            assert!(entry.about.is_some_and(|about| about.contains("check it")), "{}", entry.model);
        }
    }

    #[test]
    fn a_table_that_is_printed_can_be_read() {
        let prices = Prices::load(None).unwrap();
        let printed = serde_json::to_vec_pretty(&prices).unwrap();
        assert_eq!(Prices::parse(&printed).unwrap(), prices);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let row = r#""output":1,"cache_read":1,"cache_creation":1"#;
        for text in ["", "[]", r#"{"m":1}"#, r#"{"m":{"input":1}}"#] {
            assert!(Prices::parse(text.as_bytes()).is_err(), "{text}");
        }
        for input in ["-1", "\"1\"", "null"] {
            let text = format!(r#"{{"m":{{"input":{input},{row}}}}}"#);
            assert!(Prices::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
