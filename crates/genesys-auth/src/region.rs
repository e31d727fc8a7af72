//! The regions of Genesys Cloud and their hosts.

use std::{fmt, str::FromStr};

use url::Url;

use crate::{Error, ErrorKind};

/// AWS region and domain. Source: `PureCloudRegionHosts` of the official Python SDK; the same table is in
/// `genesyscloud/provider/provider.go` of the Terraform provider.
const REGIONS: [(&str, &str); 18] = [
    ("us-east-1", "mypurecloud.com"),
    ("us-east-2", "use2.us-gov-pure.cloud"),
    ("us-west-2", "usw2.pure.cloud"),
    ("ca-central-1", "cac1.pure.cloud"),
    ("eu-west-1", "mypurecloud.ie"),
    ("eu-west-2", "euw2.pure.cloud"),
    ("eu-central-1", "mypurecloud.de"),
    ("eu-central-2", "euc2.pure.cloud"),
    ("eusc-de-east-1", "edee1.eusc-pure.cloud"),
    ("ap-southeast-1", "apse1.pure.cloud"),
    ("ap-southeast-2", "mypurecloud.com.au"),
    ("ap-northeast-1", "mypurecloud.jp"),
    ("ap-northeast-2", "apne2.pure.cloud"),
    ("ap-northeast-3", "apne3.pure.cloud"),
    ("ap-south-1", "aps1.pure.cloud"),
    ("sa-east-1", "sae1.pure.cloud"),
    ("me-central-1", "mec1.pure.cloud"),
    ("mx-central-1", "mxc1.pure.cloud"),
];

/// A region of Genesys Cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Region(usize);

impl Region {
    /// Every region.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..REGIONS.len()).map(Self)
    }

    /// The AWS region, such as `eu-west-1`.
    #[must_use]
    pub const fn aws_region(self) -> &'static str {
        REGIONS[self.0].0
    }

    /// The domain, such as `mypurecloud.ie`.
    #[must_use]
    pub const fn domain(self) -> &'static str {
        REGIONS[self.0].1
    }

    /// Whether it is the `FedRAMP` region: its own cloud, whose OAuth clients and tokens hold nowhere else.
    #[must_use]
    pub fn is_fedramp(self) -> bool {
        self.domain().ends_with(".us-gov-pure.cloud")
    }

    /// The login host, such as `https://login.mypurecloud.ie`.
    #[must_use]
    pub fn login_url(self) -> Url {
        self.host("login")
    }

    /// The Platform API's host, such as `https://api.mypurecloud.ie`.
    #[must_use]
    pub fn api_url(self) -> Url {
        self.host("api")
    }

    fn host(self, name: &str) -> Url {
        Url::parse(&format!("https://{name}.{}", self.domain()))
            .expect("the table holds host names")
    }
}

impl FromStr for Region {
    type Err = Error;

    /// Reads an AWS region, a domain, or an address of one such as `https://apps.mypurecloud.ie`, in any case.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim().to_ascii_lowercase();
        let host = text.trim_start_matches("https://").trim_end_matches('/');
        let text = ["login.", "api.", "apps."]
            .iter()
            .find_map(|name| host.strip_prefix(name))
            .unwrap_or(host);
        let found = REGIONS
            .iter()
            .position(|(region, domain)| text == *region || text == *domain);
        found.map(Self).ok_or_else(|| {
            let known = REGIONS.map(|(region, _)| region).join(", ");
            Error::new(ErrorKind::InvalidSetting, format!("`{text}` is no Genesys Cloud region; use a domain such as mypurecloud.ie or one of {known}"))
        })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.aws_region())
    }
}

#[cfg(test)]
mod tests {
    use super::Region;
    use crate::ErrorKind;

    #[test]
    fn a_region_is_found_by_either_name() {
        for region in Region::all() {
            assert_eq!(region.aws_region().parse::<Region>().unwrap(), region);
            assert_eq!(
                region.domain().to_uppercase().parse::<Region>().unwrap(),
                region
            );
        }
        let ireland: Region = "eu-west-1".parse().unwrap();
        assert_eq!(
            ireland.login_url().as_str(),
            "https://login.mypurecloud.ie/"
        );
        assert_eq!(ireland.api_url().as_str(), "https://api.mypurecloud.ie/");
        for address in [
            "https://apps.mypurecloud.ie/",
            "login.mypurecloud.ie",
            "https://api.mypurecloud.ie",
        ] {
            assert_eq!(address.parse::<Region>().unwrap(), ireland);
        }
    }

    #[test]
    fn one_region_is_fedramps() {
        let fedramp: Vec<_> = Region::all().filter(|region| region.is_fedramp()).collect();
        assert_eq!(fedramp, ["us-east-2".parse::<Region>().unwrap()]);
        assert_eq!(
            fedramp[0].login_url().as_str(),
            "https://login.use2.us-gov-pure.cloud/"
        );
    }

    #[test]
    fn an_unknown_region_is_named() {
        let error = "eu-west-9".parse::<Region>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSetting);
        assert!(error.to_string().contains("eu-west-9"));
    }
}
