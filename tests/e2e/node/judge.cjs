// Decides the policy cases with iam-simulate: `node judge.cjs PACKAGES`, the table on standard input, on standard
// output one of "allowed", "explicit-deny", "implicit-deny" or an error for each case, in order.

const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");

const { runSimulation } = createRequire(process.argv[2] + "/")("@cloud-copilot/iam-simulate");

const ACCOUNT = "123456789012";
const PRINCIPALS = {
  user: { arn: `arn:aws:iam::${ACCOUNT}:user/team/reader`, type: "User", username: "reader" },
  role: { arn: `arn:aws:sts::${ACCOUNT}:assumed-role/reader/flowlake`, role: `arn:aws:iam::${ACCOUNT}:role/service/reader`, type: "AssumedRole" },
  sso: {
    arn: `arn:aws:sts::${ACCOUNT}:assumed-role/AWSReservedSSO_Reader_0123456789abcdef/flowlake`,
    role: `arn:aws:iam::${ACCOUNT}:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Reader_0123456789abcdef`,
    type: "AssumedRole",
  },
  root: { arn: `arn:aws:iam::${ACCOUNT}:root`, type: "Account" },
  federated: { arn: `arn:aws:sts::${ACCOUNT}:federated-user/bob`, type: "FederatedUser" },
};
const DECISIONS = { Allowed: "allowed", ExplicitlyDenied: "explicit-deny", ImplicitlyDenied: "implicit-deny" };

function policy(statements) {
  return { Version: "2012-10-17", Statement: statements };
}

function simulation(entry) {
  const principal = PRINCIPALS[entry.principal ?? "user"];
  const action = entry.action ?? "s3:GetObject";
  const resource = action === "s3:ListBucket" ? "arn:aws:s3:::lake" : "arn:aws:s3:::lake/exports/calls.csv";
  const context = {
    "aws:SecureTransport": "true",
    "aws:SourceIp": "127.0.0.1",
    "aws:PrincipalArn": principal.role ?? principal.arn,
    "aws:PrincipalAccount": ACCOUNT,
    "aws:PrincipalType": principal.type,
  };
  if (principal.username) context["aws:username"] = principal.username;
  if (action === "s3:ListBucket") context["s3:prefix"] = entry.prefix;
  for (const [key, value] of Object.entries(entry.tags ?? {})) context[`aws:PrincipalTag/${key}`] = value;
  for (const [key, value] of Object.entries(entry.object_tags ?? {})) context[`s3:ExistingObjectTag/${key}`] = value;
  const identity = [];
  if (entry.identity?.length) identity.push({ name: "own", policy: policy(entry.identity) });
  if (entry.group?.length) identity.push({ name: "group", policy: policy(entry.group) });
  return {
    request: {
      principal: principal.arn,
      action,
      resource: { resource, accountId: entry.owner ?? ACCOUNT },
      contextVariables: context,
    },
    identityPolicies: identity,
    serviceControlPolicies: (entry.scps ?? []).map((statements, level) => ({
      orgIdentifier: `level-${level}`,
      policies: [{ name: `level-${level}`, policy: policy(statements) }],
    })),
    resourceControlPolicies: [],
    resourcePolicy: entry.bucket ? policy(entry.bucket) : undefined,
    permissionBoundaryPolicies: entry.boundary ? [{ name: "boundary", policy: policy(entry.boundary) }] : undefined,
  };
}

async function main() {
  const { cases } = JSON.parse(readFileSync(0, "utf8"));
  const told = [];
  for (const entry of cases) {
    const result = await runSimulation(simulation(entry), {});
    const decision = result.overallResult ?? result.analysis?.result;
    told.push(DECISIONS[decision] ?? `error: ${JSON.stringify(result).slice(0, 500)}`);
  }
  process.stdout.write(JSON.stringify(told));
}

main();
