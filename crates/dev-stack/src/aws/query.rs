//! The parameters of the query protocol. What may be sent is checked by `model`.

use std::collections::BTreeMap;

use super::refusal::Refusal;

/// `Action`, `Version` and the rest of a form body.
#[derive(Debug)]
pub(crate) struct Parameters {
    pub(crate) action: String,
    pub(crate) version: String,
    values: BTreeMap<String, String>,
}

impl Parameters {
    pub(crate) fn parse(body: &[u8]) -> Self {
        let mut values: BTreeMap<String, String> =
            url::form_urlencoded::parse(body).into_owned().collect();
        Self {
            action: values.remove("Action").unwrap_or_default(),
            version: values.remove("Version").unwrap_or_default(),
            values,
        }
    }

    /// Names and values, `Action` and `Version` left out.
    pub(crate) fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                Refusal::new(
                    400,
                    "ValidationError",
                    format!(
                        "1 validation error detected: Value null at '{name}' failed to satisfy \
                         constraint: Member must not be null"
                    ),
                )
            })
    }

    /// `name.member.1`, `name.member.2` and so on.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        (1..)
            .map_while(|index| self.get(&format!("{name}.member.{index}")))
            .map(str::to_owned)
            .collect()
    }

    /// The fields of a list of structures: one map for each index.
    pub(crate) fn structures(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        (1..)
            .map_while(|index| {
                let prefix = format!("{name}.member.{index}.");
                let fields: BTreeMap<String, String> = self
                    .values
                    .range(prefix.clone()..)
                    .take_while(|(key, _)| key.starts_with(&prefix))
                    .map(|(key, value)| (key[prefix.len()..].to_owned(), value.clone()))
                    .collect();
                (!fields.is_empty()).then_some(fields)
            })
            .collect()
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.get(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    Refusal::new(400, "MalformedInput", format!("{name} must be an integer"))
                })
            })
            .transpose()
    }
}
