//! Determines the address of a caller behind trusted proxies, from the header in which they name the other end of their connection.

use std::net::IpAddr;

use axum::http::HeaderMap;
use flowlake_data_action::{ForwardedHeader, IpNetwork, ServerSettings};

/// The proxies whose header is trusted.
#[derive(Debug)]
pub(crate) struct Proxies {
    networks: Vec<IpNetwork>,
    header: ForwardedHeader,
}

impl Proxies {
    pub(crate) fn of(settings: &ServerSettings) -> Self {
        Self {
            networks: settings.trusted_proxies.clone(),
            header: settings.forwarded_header,
        }
    }

    /// Whether connections from this address are those of a trusted proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }

    /// The address of the caller whose request came from `address`. Each proxy appends the address that it received the request
    /// from, so the last address that is no trusted proxy is the caller; what stands before it may be forged. A request without the
    /// header is the proxy's own.
    pub(crate) fn caller(&self, address: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut caller = address;
        if !self.trusts(caller) {
            return caller;
        }
        let name = match self.header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        let sent: Vec<_> = headers.get_all(name).iter().collect();
        let values = sent.into_iter().rev();
        let named = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
        for element in named {
            let Some(address) = self.address(element) else {
                break;
            };
            caller = address;
            if !self.trusts(caller) {
                break;
            }
        }
        caller
    }

    /// The address that one element names.
    fn address(&self, element: &str) -> Option<IpAddr> {
        let node = match self.header {
            ForwardedHeader::XForwardedFor => element.trim(),
            // RFC 7239, 4 and 6.
            ForwardedHeader::Forwarded => {
                let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
                let mut nodes = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
                let (Some((_, node)), None) = (nodes.next(), nodes.next()) else {
                    return None;
                };
                node.trim().trim_matches('"')
            }
        };
        // `[2001:db8::1]`, and a port behind either kind.
        let bracketed = node.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let host = match (bracketed, node.rsplit_once(':')) {
            (Some((host, _port)), _) => host,
            (None, Some((host, _port))) if !host.contains(':') => host,
            _ => node,
        };
        host.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::http::{HeaderMap, HeaderValue};
    use flowlake_data_action::{ForwardedHeader, ServerSettings};

    use super::Proxies;

    fn proxies(header: ForwardedHeader) -> Proxies {
        let networks = ["10.0.0.0/8", "2001:db8:1::/48", "192.0.2.7"];
        Proxies::of(&ServerSettings {
            trusted_proxies: networks
                .map(|network| network.to_owned().try_into().unwrap())
                .into(),
            forwarded_header: header,
            ..ServerSettings::default()
        })
    }

    /// The callers found for requests from the first address with these header values; `proxy` is the address of a trusted proxy.
    fn check(header: ForwardedHeader, name: &'static str, cases: &[(&str, &[&str], &str)]) {
        for (from, sent, expected) in cases {
            let address = |text: &str| text.replace("proxy", "10.1.2.3").parse().unwrap();
            let mut headers = HeaderMap::new();
            for value in *sent {
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            let found = proxies(header).caller(address(from), &headers);
            let expected: IpAddr = address(expected);
            assert_eq!(found.to_canonical(), expected, "{from} {name} {sent:?}");
        }
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_caller() {
        let header = ForwardedHeader::XForwardedFor;
        let cases: &[(&str, &[&str], &str)] = &[
            ("proxy", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.1.2.3", &["203.0.113.9"], "203.0.113.9"),
            ("192.0.2.7", &["203.0.113.9:1234"], "203.0.113.9"),
            ("proxy", &["1.1.1.1, 203.0.113.9, 10.9.9.9"], "203.0.113.9"),
            ("proxy", &["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
            ("proxy", &["2001:db8:2::1, 2001:db8:1::5"], "2001:db8:2::1"),
            // What was made up stands before what the proxy saw.
            ("proxy", &["<script>, 203.0.113.9"], "203.0.113.9"),
            ("proxy", &["1.1.1.1, <script>"], "proxy"),
            ("proxy", &["1.1.1.1, "], "proxy"),
            ("proxy", &[], "proxy"),
            // Nobody else's word is taken.
            ("203.0.113.9", &["1.1.1.1"], "203.0.113.9"),
        ];
        check(header, "x-forwarded-for", cases);
        check(header, "forwarded", &[("proxy", &["for=1.1.1.1"], "proxy")]);
    }

    #[test]
    fn elements_of_forwarded_are_read_from_the_end() {
        let header = ForwardedHeader::Forwarded;
        let ipv6 = "for=1.1.1.1, proto=https; For=\"[2001:db8:2::1]:4711\"";
        let cases: &[(&str, &[&str], &str)] = &[
            ("proxy", &["for=203.0.113.9;proto=https"], "203.0.113.9"),
            ("proxy", &[ipv6], "2001:db8:2::1"),
            // A quotation mark that somebody left open hides nothing.
            ("proxy", &["for=\", for=203.0.113.9"], "203.0.113.9"),
            ("proxy", &["for=1.1.1.1, for=_hidden"], "proxy"),
            ("proxy", &["for=1.1.1.1, for=unknown"], "proxy"),
            ("proxy", &["for=1.1.1.1;for=2.2.2.2"], "proxy"),
        ];
        check(header, "forwarded", cases);
        check(
            header,
            "x-forwarded-for",
            &[("proxy", &["1.1.1.1"], "proxy")],
        );
    }
}
