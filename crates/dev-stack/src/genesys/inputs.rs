//! The bodies that the Platform API takes for data actions, as the models of its official SDK have them. A member that the model
//! does not have, one of another type, and one that is missing are refused.

use serde_json::Value;

use super::reply::{self, Reply};

/// What a member holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Number,
    /// Texts by name.
    Texts,
    /// A JSON schema.
    Schema,
    /// A model of its own.
    Members(&'static [Member]),
}

/// One member of a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    name: &'static str,
    kind: Kind,
    is_required: bool,
}

const fn optional(name: &'static str, kind: Kind) -> Member {
    Member {
        name,
        kind,
        is_required: false,
    }
}

const fn required(name: &'static str, kind: Kind) -> Member {
    Member {
        name,
        kind,
        is_required: true,
    }
}

const REQUEST: &[Member] = &[
    optional("requestUrlTemplate", Kind::Text),
    optional("requestTemplate", Kind::Text),
    optional("requestTemplateUri", Kind::Text),
    optional("requestType", Kind::Text),
    optional("headers", Kind::Texts),
];

const RESPONSE: &[Member] = &[
    optional("translationMap", Kind::Texts),
    optional("translationMapDefaults", Kind::Texts),
    optional("successTemplate", Kind::Text),
    optional("successTemplateUri", Kind::Text),
];

const CONFIG: Kind = Kind::Members(&[
    optional("request", Kind::Members(REQUEST)),
    optional("response", Kind::Members(RESPONSE)),
    optional("timeoutSeconds", Kind::Number),
]);

const CONTRACT: Kind = Kind::Members(&[
    required(
        "input",
        Kind::Members(&[required("inputSchema", Kind::Schema)]),
    ),
    required(
        "output",
        Kind::Members(&[required("successSchema", Kind::Schema)]),
    ),
]);

/// `PostActionInput`, of a new action and of its draft.
pub(super) const POST_ACTION: &[Member] = &[
    required("category", Kind::Text),
    required("name", Kind::Text),
    required("integrationId", Kind::Text),
    required("config", CONFIG),
    required("contract", CONTRACT),
    optional("secure", Kind::Flag),
];

/// `UpdateActionInput`, of a published action: its contract and its secrecy stay.
pub(super) const UPDATE_ACTION: &[Member] = &[
    optional("category", Kind::Text),
    optional("name", Kind::Text),
    optional("config", CONFIG),
    required("version", Kind::Number),
];

/// `UpdateDraftInput`.
pub(super) const UPDATE_DRAFT: &[Member] = &[
    optional("category", Kind::Text),
    optional("name", Kind::Text),
    optional("config", CONFIG),
    optional("contract", CONTRACT),
    optional("secure", Kind::Flag),
    required("version", Kind::Number),
];

/// `PublishDraftInput`.
pub(super) const PUBLISH_DRAFT: &[Member] = &[required("version", Kind::Number)];

/// The refusal of a body that is not of a model.
pub(super) fn refused(model: &[Member], body: &Value) -> Option<Reply> {
    let mut problems = Vec::new();
    check(model, body, "", &mut problems);
    (!problems.is_empty()).then(|| reply::error(400, "bad.request", &problems.join("; ")))
}

fn check(model: &[Member], value: &Value, place: &str, problems: &mut Vec<String>) {
    let Some(members) = value.as_object() else {
        problems.push(format!("{} must be an object", name_of(place)));
        return;
    };
    for member in model.iter().filter(|member| member.is_required) {
        let given = members.get(member.name);
        if given.is_none_or(|given| given.is_null() || given == "") {
            problems.push(format!("{place}{} is required", member.name));
        }
    }
    for (name, value) in members {
        let place = format!("{place}{name}");
        match model.iter().find(|member| member.name == name) {
            None => problems.push(format!("{place} is not known")),
            // What is not set may be there as null.
            Some(_) if value.is_null() => {}
            Some(member) => check_kind(member.kind, value, &place, problems),
        }
    }
}

fn check_kind(kind: Kind, value: &Value, place: &str, problems: &mut Vec<String>) {
    let (fits, wanted) = match kind {
        Kind::Text => (value.is_string(), "a text"),
        Kind::Flag => (value.is_boolean(), "true or false"),
        Kind::Number => (value.is_u64(), "a whole number"),
        Kind::Texts => {
            let members = value.as_object();
            let fits = members.is_some_and(|members| members.values().all(Value::is_string));
            (fits, "an object of texts")
        }
        Kind::Schema => (value.is_object(), "an object"),
        Kind::Members(model) => {
            check(model, value, &format!("{place}."), problems);
            return;
        }
    };
    if !fits {
        problems.push(format!("{place} must be {wanted}"));
    }
}

fn name_of(place: &str) -> &str {
    match place.trim_end_matches('.') {
        "" => "the body",
        place => place,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole() -> Value {
        let schema = json!({ "type": "object", "properties": {} });
        json!({
            "name": "a", "category": "c", "integrationId": "i", "secure": null,
            "config": { "request": { "headers": { "a": "b" } }, "response": {}, "timeoutSeconds": 6 },
            "contract": { "input": { "inputSchema": schema }, "output": { "successSchema": schema } },
        })
    }

    #[test]
    fn a_body_is_of_its_model() {
        let problems = |model: &[Member], body: &Value| {
            let mut problems = Vec::new();
            check(model, body, "", &mut problems);
            problems
        };
        assert_eq!(problems(POST_ACTION, &whole()), [""; 0]);
        for (place, value, problem) in [
            ("/secure", json!("yes"), "secure must be true or false"),
            ("/contract", Value::Null, "contract is required"),
            ("/name", json!(""), "name is required"),
            ("/colour", json!(1), "colour is not known"),
            (
                "/config/request/colour",
                json!(1),
                "config.request.colour is not known",
            ),
            (
                "/config/request/headers",
                json!({ "a": 1 }),
                "config.request.headers must be an object of texts",
            ),
            (
                "/config/timeoutSeconds",
                json!(2.5),
                "config.timeoutSeconds must be a whole number",
            ),
            (
                "/contract/output",
                json!({}),
                "contract.output.successSchema is required",
            ),
            (
                "/contract/input",
                json!([]),
                "contract.input must be an object",
            ),
        ] {
            let mut body = whole();
            let (parent, name) = place.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[name] = value;
            assert_eq!(problems(POST_ACTION, &body), [problem], "{place}");
        }
        // What cannot change in a published action is no member of its model.
        let update = json!({ "version": 1, "secure": true });
        assert_eq!(problems(UPDATE_ACTION, &update), ["secure is not known"]);
        assert_eq!(problems(UPDATE_DRAFT, &update), [""; 0]);
        assert_eq!(
            problems(PUBLISH_DRAFT, &json!([])),
            ["the body must be an object"]
        );
        assert!(refused(PUBLISH_DRAFT, &json!({})).is_some());
    }
}
