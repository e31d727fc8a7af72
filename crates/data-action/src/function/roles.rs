//! The roles of a function: the one that Genesys Cloud takes to invoke it, and its own, which reads the tables.

use std::collections::{BTreeMap, BTreeSet};

use flowlake_aws_access::AccessMode;
use flowlake_transform::Reach;
use serde_json::{Value, json};

use crate::{ActionError, Config, FunctionArn, Inspector};

/// The two roles of a function, as a `CloudFormation` template.
#[derive(Debug, Clone)]
pub struct FunctionRoles {
    /// The function.
    pub function: FunctionArn,
    /// The AWS account that Genesys Cloud comes from.
    pub trusted_account: String,
    /// The id of the Genesys Cloud organisation, the external id of its calls.
    pub organization: String,
}

impl FunctionRoles {
    /// The template. The function's own policy allows what the configured tables need, and nothing more that IAM can tell apart.
    ///
    /// # Errors
    /// [`crate::ErrorCode::ConfigInvalid`] for a place of `[audit.ship]` that is none.
    pub fn template(&self, config: &Config, inspector: &Inspector) -> Result<Value, ActionError> {
        let tables: BTreeSet<Reach> = inspector
            .actions()
            .flat_map(|action| action.prepared.reach())
            .collect();
        let name = self.function.name();
        let genesys = format!("{name}-genesys");
        let own = format!("{name}-execution");
        let assumed = config.aws.assume_role.as_ref();
        let reader = assumed.map_or_else(
            || self.arn("iam", "", &format!("role/{own}")),
            |role| role.role_arn.clone(),
        );
        let mut reading = self.reading(&tables, config.access.mode, &reader);
        if let Some(ship) = &config.audit.ship {
            let (bucket, prefix) = ship.place()?;
            let below = match prefix.as_ref() {
                "" => format!("{bucket}/*"),
                prefix => format!("{bucket}/{prefix}/*"),
            };
            reading.push(json!({
                "Sid": "ShipAuditRecords", "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject"], "Resource": self.s3(&below),
            }));
        }
        let logs = format!("log-group:/aws/lambda/{name}:*");
        let writing = json!({
            "Sid": "WriteLogs", "Effect": "Allow",
            "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": self.arn("logs", "*", &logs),
        });
        let mut resources = json!({
            "GenesysRole": role(
                &genesys,
                &json!({
                    "Effect": "Allow", "Action": "sts:AssumeRole",
                    "Principal": { "AWS": format!("arn:{}:iam::{}:root", self.function.partition(), self.trusted_account) },
                    "Condition": { "StringEquals": { "sts:ExternalId": self.organization } },
                }),
                "invoke",
                &[json!({
                    "Sid": "InvokeFunction", "Effect": "Allow",
                    "Action": "lambda:InvokeFunction", "Resource": self.function.as_str(),
                })],
            ),
        });
        let mut own_statements = vec![writing];
        match assumed {
            Some(role) => {
                own_statements.push(json!({
                    "Sid": "AssumeReader", "Effect": "Allow",
                    "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": role.role_arn,
                }));
                resources["ReaderPolicy"] = json!({
                    "Type": "AWS::IAM::ManagedPolicy",
                    "Properties": { "ManagedPolicyName": format!("{name}-read"), "PolicyDocument": policy(&reading) },
                });
            }
            None => own_statements.extend(reading),
        }
        resources["FunctionRole"] = role(
            &own,
            &json!({
                "Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": { "Service": "lambda.amazonaws.com" },
            }),
            "run",
            &own_statements,
        );
        Ok(json!({
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": format!("Roles of the flowlake function {name}"),
            "Resources": resources,
            "Outputs": {
                "GenesysRoleArn": {
                    "Description": "For the credentials of the AWS Lambda Data Actions integration",
                    "Value": { "Fn::GetAtt": ["GenesysRole", "Arn"] },
                },
                "FunctionRoleArn": {
                    "Description": "The execution role of the function",
                    "Value": { "Fn::GetAtt": ["FunctionRole", "Arn"] },
                },
            },
        }))
    }

    /// What reading the tables takes.
    fn reading(&self, tables: &BTreeSet<Reach>, mode: AccessMode, reader: &str) -> Vec<Value> {
        let (express, usual): (Vec<&Reach>, Vec<&Reach>) = tables
            .iter()
            .partition(|table| table.bucket.ends_with("--x-s3"));
        let objects: BTreeSet<String> = usual
            .iter()
            .map(|table| self.s3(&format!("{}/{}", table.bucket, table.keys)))
            .collect();
        let mut statements = Vec::new();
        if !objects.is_empty() {
            statements.push(json!({
                "Sid": "ReadTables", "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": objects,
            }));
        }
        let mut listed = BTreeMap::<&str, BTreeSet<&str>>::new();
        for table in &usual {
            if let Some(prefix) = &table.listed {
                listed.entry(&table.bucket).or_default().insert(prefix);
            }
        }
        for (index, (bucket, prefixes)) in listed.into_iter().enumerate() {
            statements.push(json!({
                "Sid": format!("ListTables{index}"), "Effect": "Allow",
                "Action": "s3:ListBucket", "Resource": self.s3(bucket),
                "Condition": { "StringLike": { "s3:prefix": prefixes } },
            }));
        }
        let sessions: BTreeSet<String> = express
            .iter()
            .map(|table| {
                let bucket = format!("bucket/{}", table.bucket);
                format!("arn:{}:s3express:*:*:{bucket}", self.function.partition())
            })
            .collect();
        if !sessions.is_empty() {
            statements.push(json!({
                "Sid": "OpenSessions", "Effect": "Allow",
                "Action": "s3express:CreateSession", "Resource": sessions,
                "Condition": { "StringEquals": { "s3express:SessionMode": "ReadOnly" } },
            }));
        }
        if mode != AccessMode::Probe {
            statements.push(json!({
                "Sid": "AskIam", "Effect": "Allow",
                "Action": ["iam:GetRole", "iam:SimulatePrincipalPolicy"], "Resource": reader,
            }));
            let buckets: BTreeSet<String> =
                usual.iter().map(|table| self.s3(&table.bucket)).collect();
            if !buckets.is_empty() {
                statements.push(json!({
                    "Sid": "ReadBucketPolicies", "Effect": "Allow",
                    "Action": "s3:GetBucketPolicy", "Resource": buckets,
                }));
            }
        }
        statements
    }

    fn s3(&self, what: &str) -> String {
        format!("arn:{}:s3:::{what}", self.function.partition())
    }

    /// Something of the function's own account.
    fn arn(&self, service: &str, region: &str, what: &str) -> String {
        let (partition, account) = (self.function.partition(), self.function.account());
        format!("arn:{partition}:{service}:{region}:{account}:{what}")
    }
}

fn policy(statements: &[Value]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn role(name: &str, trust: &Value, policy_name: &str, statements: &[Value]) -> Value {
    json!({
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": name,
            "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [trust] },
            "Policies": [{ "PolicyName": policy_name, "PolicyDocument": policy(statements) }],
        },
    })
}
