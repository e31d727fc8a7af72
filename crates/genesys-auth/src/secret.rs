//! Text that must not be seen: no `Display`, no `Serialize`, stars in `Debug`, zeros when dropped.

use std::{fmt, sync::Arc};

use serde::Deserialize;
use zeroize::Zeroizing;

/// A secret such as an OAuth client's.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes the text; it is overwritten with zeros when the last clone is dropped.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Arc::new(Zeroizing::new(text)))
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("******")
    }
}

/// A bearer token of Genesys Cloud.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(Secret);

impl AccessToken {
    pub(crate) fn new(text: String) -> Self {
        Self(Secret::new(text))
    }

    /// The token itself, for the `Authorization: Bearer` header.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("******")
    }
}

#[cfg(test)]
mod tests {
    use super::{AccessToken, Secret};

    #[test]
    fn debug_shows_stars_only() {
        let shown = format!(
            "{:?} {:?}",
            Secret::new("hunter2".to_owned()),
            AccessToken::new("hunter2".to_owned())
        );
        assert_eq!(shown, "****** ******");
    }
}
