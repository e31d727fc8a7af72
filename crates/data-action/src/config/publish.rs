//! `[publish]`: where Genesys Cloud reaches the actions, and where its data actions belong.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Deserialize;
use url::{Host, Url};

use crate::{ActionError, ErrorCode};

/// `[publish]`, for `flowlake actions`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishSettings {
    /// The address at which Genesys Cloud reaches flowlake-server, such as `https://flowlake.example.com`.
    #[serde(default)]
    pub url: String,
    /// The id of the Web Services Data Actions integration, from its page in Admin. Publishing needs it.
    #[serde(default)]
    pub integration_id: String,
    /// The category that the data actions are shown under.
    #[serde(default = "category")]
    pub category: String,
    /// The field of the integration's credentials that holds the server's key.
    #[serde(default = "credential")]
    pub credential: String,
    /// The folder of the log that publishing and retiring are recorded in, relative to flowlake.toml. It is a log of its
    /// own: a running server holds the lock of `[audit.log]`.
    #[serde(default = "audit")]
    pub audit: PathBuf,
    /// The function that Genesys Cloud invokes where no public address leads to a server.
    #[serde(default)]
    pub lambda: Option<FunctionSettings>,
}

/// `[publish.lambda]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FunctionSettings {
    /// The function's address, such as `arn:aws:lambda:eu-central-1:123456789012:function:flowlake:live`.
    #[schemars(with = "String")]
    pub function: FunctionArn,
    /// The id of the AWS Lambda Data Actions integration, from its page in Admin. Publishing needs it.
    #[serde(default)]
    pub integration_id: String,
}

/// Which way Genesys Cloud takes to the actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The public address of flowlake-server.
    WebService,
    /// The function.
    Lambda,
}

/// The address of a function: `arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME`, with a version or an alias behind it or not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FunctionArn {
    text: String,
    partition: String,
    account: String,
    name: String,
}

impl FunctionArn {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `aws`, or that of another group of regions.
    #[must_use]
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// The AWS account that it belongs to.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The function's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl TryFrom<String> for FunctionArn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            // A template would take a `$`, as in `$LATEST`, for a reference.
            [
                "arn",
                partition,
                "lambda",
                region,
                account,
                "function",
                name,
                qualifier @ ..,
            ] if qualifier.len() < 2
                && [partition, region, account, name]
                    .into_iter()
                    .chain(qualifier)
                    .all(plain) =>
            {
                Ok(Self {
                    partition: (*partition).to_owned(),
                    account: (*account).to_owned(),
                    name: (*name).to_owned(),
                    text,
                })
            }
            _ => Err(format!(
                "`{text}` is no address of a function, such as arn:aws:lambda:eu-central-1:123456789012:function:flowlake:live (an alias or a version, not $LATEST)"
            )),
        }
    }
}

impl fmt::Display for FunctionArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl PublishSettings {
    /// The door that is meant: the one that is asked for, else the web service, else the function.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when the section does not say where that door is.
    pub fn door(&self, asked: Option<Door>) -> Result<Door, ActionError> {
        let door = asked.unwrap_or(if self.url.is_empty() && self.lambda.is_some() {
            Door::Lambda
        } else {
            Door::WebService
        });
        let (is_there, missing, advice) = match door {
            Door::WebService => (
                !self.url.is_empty(),
                "`url` in [publish] is missing",
                "Write the server's address, such as https://flowlake.example.com, or add [publish.lambda].",
            ),
            Door::Lambda => (
                self.lambda.is_some(),
                "[publish.lambda] is missing",
                "Add [publish.lambda] with the address of the `function` and the `integration_id` of the AWS Lambda Data Actions integration.",
            ),
        };
        if is_there {
            Ok(door)
        } else {
            let missing = ActionError::new(ErrorCode::ConfigInvalid, missing, advice);
            Err(missing.at_key(["publish"]))
        }
    }

    /// The server's address. What follows the path of an address would be lost in those of the actions.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when it is no address that Genesys Cloud may send the server's key to.
    pub fn server(&self) -> Result<Url, ActionError> {
        let wrong = |what: String| {
            let error = ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("`url` in [publish] {what}"),
                "Write the server's address, such as https://flowlake.example.com.",
            );
            error.at_key(["publish", "url"])
        };
        let url = Url::parse(&self.url).map_err(|error| wrong(format!("is not a URL: {error}")))?;
        let what = if !matches!(url.scheme(), "http" | "https") {
            "is no http address"
        } else if url.query().is_some() || url.fragment().is_some() {
            "ends with its path: a query or a fragment would be lost"
        } else if !url.username().is_empty() || url.password().is_some() {
            "has a user in it, who would stand in every data action"
        } else if url.path().contains('$') {
            "has a `$` in its path, which stands for an input in a data action"
        } else if url.scheme() == "http" && !url.host().is_some_and(|host| is_private(&host)) {
            "is http:// at a public address: the server's key would cross the internet unencrypted"
        } else {
            return Ok(url);
        };
        Err(wrong(what.to_owned()))
    }

    /// Refuses addresses and integrations that cannot be meant.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] with the key.
    pub(super) fn check(&self) -> Result<(), ActionError> {
        if !self.url.is_empty() {
            self.server()?;
        }
        let functions = self.integration_id(Door::Lambda);
        if !functions.is_empty() && functions == self.integration_id {
            let error = ActionError::new(
                ErrorCode::ConfigInvalid,
                "[publish] and [publish.lambda] name one integration",
                "Web services and functions have an integration each: copy the id of the AWS Lambda Data Actions integration from its page in Admin.",
            );
            return Err(error.at_key(["publish", "lambda", "integration_id"]));
        }
        Ok(())
    }

    /// The integration that the data actions of a door belong to; empty when it is not set.
    #[must_use]
    pub fn integration_id(&self, door: Door) -> &str {
        match (door, &self.lambda) {
            (Door::WebService, _) => &self.integration_id,
            (Door::Lambda, Some(lambda)) => &lambda.integration_id,
            (Door::Lambda, None) => "",
        }
    }

    /// Makes the path relative to `folder` no longer.
    pub(super) fn resolve(&mut self, folder: &Path) {
        self.audit = folder.join(&self.audit);
    }
}

/// Whether a host can only be one of this machine or of a private network, as in a test.
fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => {
            address.is_loopback() || address.is_private() || address.is_link_local()
        }
        Host::Ipv6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            let top = name.rsplit_once('.').map(|(_, top)| top);
            top.is_none_or(|top| ["localhost", "local", "internal", "test"].contains(&top))
        }
    }
}

fn audit() -> PathBuf {
    PathBuf::from("audit-publish")
}

fn category() -> String {
    "flowlake".to_owned()
}

fn credential() -> String {
    "apiKey".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<PublishSettings, toml::de::Error> {
        toml::from_str(text)
    }

    const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:flowlake:live";

    #[test]
    fn a_door_is_the_one_that_is_asked_for_or_the_one_that_is_there() {
        let web = settings("url = \"https://x\"\nintegration_id = \"w\"").unwrap();
        let lambda = format!("[lambda]\nfunction = \"{ARN}\"\nintegration_id = \"l\"");
        let both = settings(&format!("url = \"https://x\"\n{lambda}")).unwrap();
        let lambda = settings(&lambda).unwrap();
        for (settings, asked, expected) in [
            (&web, None, Some(Door::WebService)),
            (&web, Some(Door::Lambda), None),
            (&lambda, None, Some(Door::Lambda)),
            (&lambda, Some(Door::WebService), None),
            (&both, None, Some(Door::WebService)),
            (&both, Some(Door::Lambda), Some(Door::Lambda)),
            (&settings("").unwrap(), None, None),
        ] {
            assert_eq!(
                settings.door(asked).ok(),
                expected,
                "{settings:?} {asked:?}"
            );
        }
        assert_eq!(both.integration_id(Door::Lambda), "l");
        assert_eq!(web.integration_id(Door::WebService), "w");
    }

    #[test]
    fn the_server_is_at_an_address_that_a_key_may_be_sent_to() {
        let server = |url: &str| settings(&format!("url = {url:?}")).unwrap().server();
        for url in [
            "https://flowlake.example.com",
            "https://flowlake.example.com:8443/sub/",
            "https://203.0.113.7",
            "http://127.0.0.1:8080",
            "http://[::1]:8080/",
            "http://10.1.2.3",
            "http://[fd00::1]",
            "http://localhost:8080",
            "http://flowlake:8080",
            "http://flowlake.internal",
        ] {
            assert_eq!(server(url).unwrap(), Url::parse(url).unwrap());
        }
        for (url, what) in [
            ("flowlake.example.com", "is not a URL"),
            ("ftp://flowlake.example.com", "no http address"),
            ("https://flowlake.example.com/?q", "a query or a fragment"),
            ("https://flowlake.example.com/#f", "a query or a fragment"),
            ("https://user:word@flowlake.example.com", "has a user in it"),
            ("https://flowlake.example.com/$input.a", "has a `$`"),
            ("http://flowlake.example.com", "at a public address"),
            ("http://203.0.113.7:8080", "at a public address"),
            ("http://[2001:db8::1]", "at a public address"),
            ("http://localhost.example.com", "at a public address"),
        ] {
            let error = server(url).unwrap_err();
            assert!(error.message().contains(what), "{url}: {error}");
            assert!(!error.message().contains("word"), "{error}");
        }
    }

    #[test]
    fn a_function_has_an_address() {
        let arn = FunctionArn::try_from(ARN.to_owned()).unwrap();
        assert_eq!(
            (arn.partition(), arn.account(), arn.name(), arn.as_str()),
            ("aws", "123456789012", "flowlake", ARN)
        );
        for wrong in [
            "flowlake",
            "arn:aws:s3:::bucket",
            "arn:aws:lambda:eu-central-1:123456789012:function:flowlake:$LATEST",
            "arn:aws:lambda:eu-central-1:123456789012:function:",
            "arn:aws:lambda:eu-central-1:123456789012:function:a:b:c",
            "arn:aws:lambda:eu-central-1:123456789012:function:${input.a}",
        ] {
            let error = FunctionArn::try_from(wrong.to_owned()).unwrap_err();
            assert!(error.contains("no address of a function"), "{error}");
        }
    }
}
