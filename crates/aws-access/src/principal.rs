//! The ARNs that STS names callers by, and what IAM calls the same principals.

use serde::Serialize;

/// What kind of principal a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrincipalKind {
    /// The root user of an account: policies do not bind it, service control policies do.
    Root,
    /// An IAM user.
    User,
    /// A session of a role.
    AssumedRole,
    /// A session of a role that IAM Identity Center made.
    SsoRole,
    /// A federated user (`sts:GetFederationToken`): its session policy cannot be simulated.
    FederatedUser,
    /// Nobody says: S3 comes without the STS of AWS.
    Unknown,
}

/// A caller's ARN, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallerArn<'arn> {
    pub(crate) kind: PrincipalKind,
    pub(crate) partition: &'arn str,
    pub(crate) account: &'arn str,
    /// The name of the user or role, without its path for a role, which STS leaves out.
    pub(crate) name: &'arn str,
}

impl<'arn> CallerArn<'arn> {
    /// Reads an ARN of `GetCallerIdentity`; `None` when it is of no kind known here.
    pub(crate) fn parse(arn: &'arn str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let ("arn", partition, service, _region, account, resource) = (
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
        ) else {
            return None;
        };
        let (kind, name) = match (service, resource.split_once('/')) {
            ("iam", None) if resource == "root" => (PrincipalKind::Root, "root"),
            ("iam", Some(("user", path_and_name))) => (PrincipalKind::User, path_and_name),
            ("sts", Some(("assumed-role", role_and_session))) => {
                let role = role_and_session.split('/').next()?;
                // Source: "How IAM Identity Center works with roles": its roles are named AWSReservedSSO_… .
                let kind = if role.starts_with("AWSReservedSSO_") {
                    PrincipalKind::SsoRole
                } else {
                    PrincipalKind::AssumedRole
                };
                (kind, role)
            }
            ("sts", Some(("federated-user", name))) => (PrincipalKind::FederatedUser, name),
            _ => return None,
        };
        (!name.is_empty()).then_some(Self {
            kind,
            partition,
            account,
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{CallerArn, PrincipalKind};

    #[test]
    fn every_kind_is_distinguished() {
        let cases = [
            (
                "arn:aws:iam::123456789012:root",
                PrincipalKind::Root,
                "root",
            ),
            (
                "arn:aws:iam::123456789012:user/team/ana",
                PrincipalKind::User,
                "team/ana",
            ),
            (
                "arn:aws:sts::123456789012:assumed-role/reader/session",
                PrincipalKind::AssumedRole,
                "reader",
            ),
            (
                "arn:aws-us-gov:sts::123456789012:assumed-role/AWSReservedSSO_Read_0123/ana@x",
                PrincipalKind::SsoRole,
                "AWSReservedSSO_Read_0123",
            ),
            (
                "arn:aws:sts::123456789012:federated-user/bob",
                PrincipalKind::FederatedUser,
                "bob",
            ),
        ];
        for (arn, kind, name) in cases {
            let caller = CallerArn::parse(arn).unwrap();
            assert_eq!(
                (caller.kind, caller.name, caller.account),
                (kind, name, "123456789012"),
                "{arn}"
            );
        }
    }

    #[test]
    fn anything_else_is_no_caller() {
        for arn in [
            "",
            "arn:aws:iam::123456789012",
            "arn:aws:iam::123456789012:group/x",
            "arn:aws:s3:::bucket",
            "arn:aws:iam::123456789012:user/",
        ] {
            assert_eq!(CallerArn::parse(arn), None, "{arn}");
        }
    }
}
