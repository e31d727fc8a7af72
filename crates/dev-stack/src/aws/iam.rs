//! IAM: `SimulatePrincipalPolicy` decided for real, `GetRole` and `ListUserTags`.

use std::collections::BTreeSet;
use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::call::Call;
use super::query::Parameters;
use super::refusal::Refusal;
use super::xml::Xml;
use crate::iam::{
    Arn, Context, Decision, Entity, Evaluation, Matched, Outcome, Policy, Span, evaluate,
};

/// The namespace of IAM answers.
pub(crate) const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// How many results a page has when the caller does not say.
const PAGE: usize = 100;

/// Answers `GetRole`.
pub(crate) fn get_role(call: &Call<'_>) -> Result<Xml, Refusal> {
    let role = named(call, "role", "RoleName", "iam:GetRole")?;
    let arn = role.identity.arn.clone();
    let parsed = Arn::parse(&arn).ok_or_else(|| invalid("the role's ARN"))?;
    let trust = role
        .identity
        .trust
        .as_ref()
        .map_or_else(String::new, ToString::to_string);
    let mut xml = Xml::default();
    xml.node("Role", |xml| {
        xml.text("Path", parsed.path())
            .text("RoleName", parsed.name())
            .text("RoleId", &role.id)
            .text("Arn", &arn)
            .text("CreateDate", "2026-01-01T00:00:00Z")
            .text(
                "AssumeRolePolicyDocument",
                &utf8_percent_encode(&trust, NON_ALPHANUMERIC).to_string(),
            )
            .text("MaxSessionDuration", "3600")
            .members("Tags", &role.identity.tags, write_tag);
    });
    Ok(xml)
}

/// Answers `ListUserTags`.
pub(crate) fn list_user_tags(call: &Call<'_>) -> Result<Xml, Refusal> {
    let user = named(call, "user", "UserName", "iam:ListUserTags")?;
    let tags = &user.identity.tags;
    let start = page_start(call.parameters)?;
    let end = (start + page_size(call.parameters)?).min(tags.len());
    let mut xml = Xml::default();
    if end < tags.len() {
        xml.text("IsTruncated", "true")
            .text("Marker", &end.to_string());
    } else {
        xml.text("IsTruncated", "false");
    }
    let page = tags.iter().take(end).skip(start);
    xml.members("Tags", page, write_tag);
    Ok(xml)
}

fn write_tag(xml: &mut Xml, (key, value): (&String, &String)) {
    xml.text("Key", key).text("Value", value);
}

/// The role or user that a parameter names, for a caller who may ask about it; nobody else learns whether it exists.
fn named(
    call: &Call<'_>,
    kind: &str,
    parameter: &str,
    action: &str,
) -> Result<Arc<Entity>, Refusal> {
    let name = call.parameters.required(parameter)?;
    let account = &call.principal.account;
    let found = call.directory.named(kind, account, name);
    let arn = found.as_ref().map_or_else(
        || format!("arn:aws:iam::{account}:{kind}/{name}"),
        |entity| entity.identity.arn.clone(),
    );
    call.require(action, &arn)?;
    found.ok_or_else(|| {
        Refusal::new(
            404,
            "NoSuchEntity",
            format!("The {kind} with name {name} cannot be found."),
        )
    })
}

/// One simulation, read from its parameters.
struct Simulation {
    identity: Vec<Policy>,
    boundary: Option<Vec<Policy>>,
    resource_policy: Option<Policy>,
    caller: Option<String>,
    owner: Option<String>,
    context: Context,
    actions: Vec<String>,
    resources: Vec<String>,
}

/// Answers `SimulatePrincipalPolicy`.
pub(crate) fn simulate_principal_policy(call: &Call<'_>) -> Result<Xml, Refusal> {
    let source = call.parameters.required("PolicySourceArn")?;
    check_source(source)?;
    call.require("iam:SimulatePrincipalPolicy", source)?;
    let simulation = read(call, source)?;
    let organization = call.directory.organization();
    // One result for each action, with the decision of each resource inside it (API reference of `EvaluationResult`).
    let outcomes: Vec<(&str, Vec<(&str, Outcome)>)> = simulation
        .actions
        .iter()
        .map(|action| {
            let decided = simulation.resources.iter().map(|resource| {
                let outcome = decide(&simulation, action, resource, &organization);
                (resource.as_str(), outcome)
            });
            (action.as_str(), decided.collect())
        })
        .collect();
    let start = page_start(call.parameters)?;
    let size = page_size(call.parameters)?.min(call.simulation_page);
    let end = (start + size).min(outcomes.len());
    let mut xml = Xml::default();
    xml.text(
        "IsTruncated",
        if end < outcomes.len() {
            "true"
        } else {
            "false"
        },
    );
    if end < outcomes.len() {
        xml.text("Marker", &end.to_string());
    }
    let page = outcomes.get(start..end).unwrap_or_default();
    xml.members("EvaluationResults", page, |xml, (action, outcomes)| {
        write_result(xml, action, outcomes);
    });
    Ok(xml)
}

/// The source must be a user, group or role: the session of a role is refused, as AWS does.
fn check_source(source: &str) -> Result<(), Refusal> {
    let kind = Arn::parse(source).map(|arn| (arn.service, arn.resource_type()));
    match kind {
        Some(("iam", "user" | "group" | "role")) => Ok(()),
        _ => Err(invalid(&format!(
            "Invalid Entity Arn: {source} does not clearly define entity type and name."
        ))),
    }
}

fn read(call: &Call<'_>, source: &str) -> Result<Simulation, Refusal> {
    let parameters = call.parameters;
    let entity = call.directory.entity(source).ok_or_else(|| {
        Refusal::new(
            404,
            "NoSuchEntity",
            format!("The entity with ARN {source} cannot be found."),
        )
    })?;
    let mut identity = entity.policies.clone();
    identity.extend(policies(parameters, "PolicyInputList")?);
    let boundary = match policies(parameters, "PermissionsBoundaryPolicyInputList")? {
        list if list.is_empty() => entity.boundary.clone(),
        list => Some(list),
    };
    let resource_policy = parameters
        .get("ResourcePolicy")
        .map(|text| Policy::parse_text("ResourcePolicy", "resource", text))
        .transpose()
        .map_err(|message| invalid(&message))?;
    let actions = parameters.list("ActionNames");
    if actions.is_empty() {
        parameters.required("ActionNames")?;
    }
    if let Some(wrong) = actions.iter().find(|action| !action.contains(':')) {
        return Err(invalid(&format!("Invalid Action Name: {wrong}")));
    }
    let mut resources = parameters.list("ResourceArns");
    if resources.is_empty() {
        resources.push("*".to_owned());
    }
    if let Some(wrong) = resources
        .iter()
        .find(|resource| *resource != "*" && Arn::parse(resource).is_none())
    {
        return Err(invalid(&format!("Invalid Resource Arn: {wrong}")));
    }
    let source_account = Arn::parse(source).map_or("", |arn| arn.account);
    let owner = parameters.get("ResourceOwner").map(|owner| {
        Arn::parse(owner).map_or_else(|| owner.to_owned(), |arn| arn.account.to_owned())
    });
    Ok(Simulation {
        identity,
        boundary,
        caller: caller(parameters, source, resource_policy.is_some())?,
        resource_policy,
        owner: owner.filter(|owner| owner != source_account),
        context: context(parameters)?,
        actions,
        resources,
    })
}

/// `CallerArn`: a user's, by default the source when that is a user, and needed with a resource
/// policy.
fn caller(
    parameters: &Parameters,
    source: &str,
    has_resource_policy: bool,
) -> Result<Option<String>, Refusal> {
    let is_user = |arn: &str| {
        Arn::parse(arn).is_some_and(|arn| arn.service == "iam" && arn.resource_type() == "user")
    };
    match parameters.get("CallerArn") {
        Some(caller) if is_user(caller) => Ok(Some(caller.to_owned())),
        Some(caller) => Err(invalid(&format!(
            "Invalid CallerArn: {caller} is not the ARN of an IAM user."
        ))),
        None if is_user(source) => Ok(Some(source.to_owned())),
        None if has_resource_policy => Err(invalid(
            "CallerArn is required when ResourcePolicy is given and PolicySourceArn is not a user.",
        )),
        None => Ok(Some(source.to_owned())),
    }
}

fn policies(parameters: &Parameters, name: &str) -> Result<Vec<Policy>, Refusal> {
    parameters
        .list(name)
        .iter()
        .enumerate()
        .map(|(index, text)| {
            Policy::parse_text(format!("{name}.{}", index + 1), "none", text)
                .map_err(|message| invalid(&message))
        })
        .collect()
}

fn context(parameters: &Parameters) -> Result<Context, Refusal> {
    const TYPES: [&str; 12] = [
        "string",
        "stringList",
        "numeric",
        "numericList",
        "boolean",
        "booleanList",
        "ip",
        "ipList",
        "binary",
        "binaryList",
        "date",
        "dateList",
    ];
    let mut context = Context::default();
    for entry in parameters.structures("ContextEntries") {
        let (Some(name), Some(kind)) = (entry.get("ContextKeyName"), entry.get("ContextKeyType"))
        else {
            return Err(invalid("a context entry needs a name, a type and values"));
        };
        if !TYPES.contains(&kind.as_str()) {
            return Err(invalid(&format!("{kind} is not a context key type")));
        }
        let values: Vec<String> = (1..)
            .map_while(|index| entry.get(&format!("ContextKeyValues.member.{index}")))
            .cloned()
            .collect();
        if values.len() > 1 && !kind.ends_with("List") {
            return Err(invalid(&format!(
                "{name} has several values but is a {kind}"
            )));
        }
        context.insert(name, values);
    }
    Ok(context)
}

fn decide(
    simulation: &Simulation,
    action: &str,
    resource: &str,
    organization: &[Policy],
) -> Outcome {
    evaluate(&Evaluation {
        action,
        resource,
        context: &simulation.context,
        caller: simulation.caller.as_deref(),
        role: None,
        identity: &simulation.identity,
        boundary: simulation.boundary.as_deref(),
        session: None,
        organization,
        resource_policy: simulation.resource_policy.as_ref(),
        resource_owner: simulation.owner.as_deref(),
    })
}

/// The result of one action: what all resources come to, and each by itself.
fn write_result(xml: &mut Xml, action: &str, outcomes: &[(&str, Outcome)]) {
    let all = || outcomes.iter().map(|(_, outcome)| outcome);
    let decision = strictest(all().map(|outcome| outcome.decision));
    // Only statements that contributed to the decision are reported.
    let decisive = all().filter(|outcome| outcome.decision == decision);
    let matched: Vec<_> = decisive.flat_map(|outcome| &outcome.matched).collect();
    let missing: BTreeSet<_> = all().flat_map(|outcome| &outcome.missing).collect();
    let sides = all()
        .filter_map(|outcome| outcome.sides)
        .reduce(|(a, b), (c, d)| (strictest([a, c]), strictest([b, d])));
    xml.text("EvalActionName", action)
        .text("EvalResourceName", resource_template(action))
        .text("EvalDecision", decision.as_str());
    write_matched(xml, &matched);
    xml.members("MissingContextValues", missing, |xml, key| {
        xml.raw_text(key);
    });
    if let Some(allowed) = and(all().map(|outcome| outcome.allowed_by_organization)) {
        xml.node("OrganizationsDecisionDetail", |xml| {
            xml.text("AllowedByOrganizations", flag(allowed));
        });
    }
    write_boundary(xml, and(all().map(|outcome| outcome.allowed_by_boundary)));
    write_sides(xml, sides);
    xml.members(
        "ResourceSpecificResults",
        outcomes,
        |xml, (resource, outcome)| {
            xml.text("EvalResourceName", resource)
                .text("EvalResourceDecision", outcome.decision.as_str());
            write_matched(xml, &outcome.matched.iter().collect::<Vec<_>>());
            xml.members("MissingContextValues", &outcome.missing, |xml, key| {
                xml.raw_text(key);
            });
            write_boundary(xml, outcome.allowed_by_boundary);
            if outcome.sides.is_some() {
                write_sides(xml, outcome.sides);
            }
        },
    );
}

fn strictest(decisions: impl IntoIterator<Item = Decision>) -> Decision {
    let strictness = |decision: &Decision| match decision {
        Decision::ExplicitDeny => 2,
        Decision::ImplicitDeny => 1,
        Decision::Allowed => 0,
    };
    let strictest = decisions.into_iter().max_by_key(strictness);
    strictest.unwrap_or(Decision::ImplicitDeny)
}

/// Whether all of those that say anything say yes.
fn and(flags: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    flags.flatten().reduce(|a, b| a && b)
}

const fn flag(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

/// The form of the resources of an action, which is no resource that was asked about.
fn resource_template(action: &str) -> &'static str {
    match action.split_once(':') {
        Some(("s3", name)) if name.contains("Object") => {
            "arn:${Partition}:s3:::${BucketName}/${KeyName}"
        }
        Some(("s3", _)) => "arn:${Partition}:s3:::${BucketName}",
        Some(("kms", _)) => "arn:${Partition}:kms:${Region}:${Account}:key/${KeyId}",
        _ => "*",
    }
}

fn write_matched(xml: &mut Xml, matched: &[&Matched]) {
    let mut seen = BTreeSet::new();
    let distinct = matched
        .iter()
        .filter(|matched| seen.insert((matched.policy_id.clone(), matched.index)));
    xml.members("MatchedStatements", distinct, |xml, matched| {
        xml.text("SourcePolicyId", &matched.policy_id)
            .text("SourcePolicyType", matched.source_type);
        let Span { start, end } = matched.span;
        for (name, (line, column)) in [("StartPosition", start), ("EndPosition", end)] {
            xml.node(name, |xml| {
                xml.text("Line", &line.to_string())
                    .text("Column", &column.to_string());
            });
        }
    });
}

fn write_boundary(xml: &mut Xml, allowed: Option<bool>) {
    if let Some(allowed) = allowed {
        xml.node("PermissionsBoundaryDecisionDetail", |xml| {
            xml.text("AllowedByPermissionsBoundary", flag(allowed));
        });
    }
}

fn write_sides(xml: &mut Xml, sides: Option<(Decision, Decision)>) {
    xml.node("EvalDecisionDetails", |xml| {
        if let Some((identity, resource)) = sides {
            for (key, decision) in [("IAM Policy", identity), ("Resource Policy", resource)] {
                xml.node("entry", |xml| {
                    xml.text("key", key).text("value", decision.as_str());
                });
            }
        }
    });
}

fn page_start(parameters: &Parameters) -> Result<usize, Refusal> {
    match parameters.get("Marker") {
        None => Ok(0),
        Some(marker) => marker
            .parse()
            .map_err(|_| invalid("the marker is not one of ours")),
    }
}

fn page_size(parameters: &Parameters) -> Result<usize, Refusal> {
    match parameters.integer("MaxItems")? {
        None => Ok(PAGE),
        Some(items) if (1..=1000).contains(&items) => Ok(usize::try_from(items).unwrap_or(PAGE)),
        Some(_) => Err(invalid("MaxItems must be between 1 and 1000")),
    }
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(400, "InvalidInput", message)
}

impl Call<'_> {
    /// Refuses a caller whose policies do not allow the call itself.
    pub(crate) fn require(&self, action: &str, resource: &str) -> Result<(), Refusal> {
        let outcome =
            self.directory
                .decide(Some(self.principal), action, resource, &Context::default());
        if outcome.decision == Decision::Allowed {
            return Ok(());
        }
        let because = match outcome.decision {
            Decision::ExplicitDeny => "with an explicit deny in an identity-based policy",
            _ => "because no identity-based policy allows the action",
        };
        Err(Refusal::new(
            403,
            self.denied_code(),
            format!(
                "User: {} is not authorized to perform: {action} on resource: {resource} {because}",
                self.principal.arn
            ),
        ))
    }
}
