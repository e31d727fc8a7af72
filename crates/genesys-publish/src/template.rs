//! Velocity templates for the request and the result.

use crate::contract::{Field, ValueType};

/// The body of the request: each input under its own name, escaped; optional ones only when the
/// flow gives them. Without a required input there is nothing to start the list of members with,
/// and the input is passed on whole, as the platform has already escaped it.
pub(crate) fn request_body(inputs: &[Field]) -> String {
    if inputs.is_empty() {
        return "{}".to_owned();
    }
    if inputs.iter().all(|input| !input.required) {
        return "${input.rawRequest}".to_owned();
    }
    let required: Vec<String> = inputs
        .iter()
        .filter(|input| input.required)
        .map(member)
        .collect();
    let mut template = format!("{{{}", required.join(","));
    for input in inputs.iter().filter(|input| !input.required) {
        let name = &input.name;
        template.push_str(&format!(
            "#if(\"$!{{input.{name}}}\" != \"\"),{}#end",
            member(input)
        ));
    }
    template.push('}');
    template
}

/// Between the action and the inputs of an event.
const PARAMS: &str = ",\"params\":";

/// The event of a function: which action it is to run, and the inputs as its body has them.
pub(crate) fn event(action: &str, body: &str) -> String {
    format!("{{\"action\":\"{action}\"{PARAMS}{body}}}")
}

/// The event of `body` with the action of `newer`; `body` itself when one of them is no event.
pub(crate) fn event_for(newer: &str, body: &str) -> String {
    match (newer.split_once(PARAMS), body.split_once(PARAMS)) {
        (Some((action, _)), Some((_, params))) => format!("{action}{PARAMS}{params}"),
        _ => body.to_owned(),
    }
}

/// `"name":"…"` or `"name":…`.
fn member(field: &Field) -> String {
    let name = &field.name;
    match field.value_type {
        ValueType::String => format!("\"{name}\":\"$esc.jsonString($!{{input.{name}}})\""),
        _ => format!("\"{name}\":${{input.{name}}}"),
    }
}

/// The member that says whether there is a row.
pub(crate) const FOUND: &str = "\"found\": #if(\"$!{row_count}\" == \"0\")false#{else}true#end";

/// The result: an object of the given members and of variables of the translation map, which are JSON text already. What
/// is in `always` has a value whatever happens; the rest is left out when it is null, because the
/// platform holds the result to the contract and a null is of no type: the flow sees it not set.
pub(crate) fn success(members: &[&str], always: &[&str], optional: &[&str]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|member| (*member).to_owned())
        .chain(always.iter().map(|name| format!("\"{name}\": ${{{name}}}")))
        .collect();
    let mut template = format!("{{{}", members.join(", "));
    for name in optional {
        template.push_str(&format!(
            "#if(\"$!{{{name}}}\" != \"\" && \"$!{{{name}}}\" != \"null\"), \"{name}\": ${{{name}}}#end"
        ));
    }
    template.push('}');
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let name = Field::new("name", ValueType::String);
        let n = Field::new("n", ValueType::Integer);
        assert_eq!(request_body(&[]), "{}");
        assert_eq!(
            request_body(&[name.clone(), n.clone()]),
            r#"{"name":"$esc.jsonString($!{input.name})","n":${input.n}}"#
        );
        assert_eq!(
            request_body(&[name.clone(), n.clone().optional()]),
            r##"{"name":"$esc.jsonString($!{input.name})"#if("$!{input.n}" != ""),"n":${input.n}#end}"##
        );
        assert_eq!(
            request_body(&[name.optional(), n.optional()]),
            "${input.rawRequest}"
        );
        assert_eq!(success(&[], &["a", "b"], &[]), r#"{"a": ${a}, "b": ${b}}"#);
        assert_eq!(
            success(&[], &["a"], &["b"]),
            r##"{"a": ${a}#if("$!{b}" != "" && "$!{b}" != "null"), "b": ${b}#end}"##
        );
    }
}
