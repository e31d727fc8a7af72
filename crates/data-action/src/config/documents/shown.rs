//! Which values of `flowlake.toml` operators are shown: texts by a list, so that a new key is hidden until somebody decides.

/// Keys whose texts are shown. The configuration itself holds no secret, only where one is. `*` stands for a name that the
/// operator chose; tables of a list have no number.
const SHOWN: [&str; 114] = [
    "access.buckets.*.owner",
    "access.buckets.*.policy",
    "access.mode",
    "access.ttl",
    "audit.hash_key.env",
    "audit.hash_key.file",
    "audit.log.directory",
    "audit.node",
    "audit.seal_key.env",
    "audit.seal_key.file",
    "audit.ship.check_every",
    "audit.ship.delete_after",
    "audit.ship.longest_wait",
    "audit.ship.uri",
    "aws.assume_role.role_arn",
    "aws.assume_role.session_length",
    "aws.assume_role.session_name",
    "aws.config_file",
    "aws.credentials_file",
    "aws.endpoint_url",
    "aws.profile",
    "aws.region",
    "aws.s3_endpoint_url",
    "budget.actions.*.daily_usd",
    "budget.actions.*.monthly_usd",
    "budget.actions.*.over",
    "budget.over",
    "budget.shared.every",
    "budget.shared.uri",
    "budget.total.daily_usd",
    "budget.total.monthly_usd",
    "budget.total.over",
    "cache.memory",
    "cluster.auto_from",
    "cluster.bytes_per_worker",
    "cluster.secret.env",
    "cluster.secret.file",
    "cluster.tls_ca",
    "cluster.tls_name",
    "cluster.workers",
    "confirm.above_bytes",
    "confirm.above_usd",
    "cost.actuals_cache",
    "cost.destination",
    "cost.overrides.*.get_requests.*.get_usd_per_1000",
    "cost.overrides.*.get_requests.*.source",
    "cost.overrides.*.internet.source",
    "cost.overrides.*.internet.tiers.usd_per_gb",
    "cost.overrides.*.requests.*.get_usd_per_1000",
    "cost.overrides.*.requests.*.put_list_usd_per_1000",
    "cost.overrides.*.requests.*.source",
    "cost.overrides.*.retrieval.*.source",
    "cost.overrides.*.retrieval.*.usd_per_gb",
    "cost.overrides.*.to_other_regions.source",
    "cost.overrides.*.to_other_regions.usd_per_gb",
    "cost.overrides.*.to_region.*.source",
    "cost.overrides.*.to_region.*.usd_per_gb",
    "cost.prices",
    "genesys.api_url",
    "genesys.client_id",
    "genesys.client_secret.env",
    "genesys.client_secret.file",
    "genesys.login_url",
    "genesys.region",
    "hot.freshness",
    "hot.max_staleness",
    "hot.memory",
    "hot.on_no_room",
    "object_cache.directory",
    "object_cache.size",
    "policy.allow",
    "policy.deny",
    "policy.write",
    "publish.audit",
    "publish.category",
    "publish.credential",
    "publish.integration_id",
    "publish.lambda.function",
    "publish.lambda.integration_id",
    "publish.url",
    "server.admin",
    "server.body_timeout",
    "server.clients.actions",
    "server.clients.certificates.san",
    "server.clients.certificates.subject",
    "server.clients.name",
    "server.clients.oauth.client_id",
    "server.clients.tokens.issuer",
    "server.forwarded_header",
    "server.header_timeout",
    "server.idle_timeout",
    "server.issuers.audience",
    "server.issuers.caller_claim",
    "server.issuers.issuer",
    "server.issuers.jwks_file",
    "server.issuers.jwks_url",
    "server.keys.name",
    "server.keys.secret.env",
    "server.keys.secret.file",
    "server.listen",
    "server.reload_every",
    "server.tls.certificate",
    "server.tls.check_every",
    "server.tls.client_roots",
    "server.tls.private_key",
    "server.tokens.lifetime",
    "server.tokens.signing_key.env",
    "server.tokens.signing_key.file",
    "server.trusted_proxies",
    "telemetry.flush_timeout",
    "telemetry.otlp_endpoint",
    "transform.max_spill",
    "transform.memory",
    "transform.spill_directory",
];

/// Keys whose values are secrets' digests or may be personal data, whatever their type. A client's `params` are what it cannot
/// choose, such as its account.
const HIDDEN: [&str; 8] = [
    "aws.assume_role.external_id",
    "aws.assume_role.session_tags",
    "server.clients.basic.password_sha256",
    "server.clients.basic.user",
    "server.clients.keys_sha256",
    "server.clients.oauth.secret_sha256",
    "server.clients.params",
    "server.clients.tokens.claims",
];

/// Whether a value is hidden whatever its type, with all that is in it.
pub(super) fn is_hidden(path: &[String]) -> bool {
    HIDDEN.iter().any(|key| is_at(path, key))
}

/// Whether a text is shown.
pub(super) fn is_shown(path: &[String]) -> bool {
    SHOWN.iter().any(|key| is_at(path, key))
}

fn is_at(path: &[String], key: &str) -> bool {
    let mut names = key.split('.');
    let is_same = |name: &String| {
        let expected = names.next();
        expected.is_some_and(|expected| expected == "*" || expected == name)
    };
    path.iter().all(is_same) && names.next().is_none()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::{HIDDEN, SHOWN};
    use crate::config_schema;

    /// The keys of a schema that can be texts or anything.
    fn keys(root: &Value, schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            keys(root, &root["definitions"][name], path, found);
        }
        for choices in ["anyOf", "oneOf", "allOf"] {
            let choices = schema[choices].as_array().into_iter().flatten();
            choices.for_each(|choice| keys(root, choice, path, found));
        }
        let is_text = |kind: &Value| kind == "string";
        let is_text = is_text(&schema["type"])
            || schema["type"]
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(is_text))
            || schema["const"].is_string();
        let is_anything = *schema == Value::Bool(true)
            || schema.as_object().is_some_and(serde_json::Map::is_empty);
        if is_text || is_anything {
            found.insert(path.to_owned());
        }
        if schema["items"].is_object() {
            keys(root, &schema["items"], path, found);
        }
        let below = |name: &str| format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            keys(root, inner, &below(name), found);
        }
        if let Some(inner) = schema
            .get("additionalProperties")
            .filter(|inner| **inner != false)
        {
            keys(root, inner, &below("*"), found);
        }
    }

    #[test]
    fn somebody_has_decided_about_each_key() {
        let schema = config_schema();
        let mut found = BTreeSet::new();
        keys(&schema, &schema, "", &mut found);
        let is_hidden = |key: &str| {
            let mut hidden = HIDDEN.iter();
            hidden.any(|hidden| key == *hidden || key.starts_with(&format!("{hidden}.")))
        };
        let expected: Vec<_> = found.iter().filter(|key| !is_hidden(key)).collect();
        assert_eq!(SHOWN.iter().collect::<Vec<_>>(), expected);
        for key in HIDDEN {
            let is_it = |found: &String| found == key || found.starts_with(&format!("{key}."));
            assert!(found.iter().any(is_it), "there is no key {key}");
        }
    }
}
