"""What the end-to-end tests ask of Python: `tool.py FUNCTION`, arguments as JSON on stdin, the result as JSON on stdout."""

import datetime
import decimal
import json
import sys
import urllib.request


def openapi(url, key):
    """The server's own description, valid by another reader of OpenAPI."""
    from openapi_spec_validator import validate

    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request) as response:
        document = json.load(response)
    validate(document)
    return document


def sha256(text):
    """The digest that stands for a secret in a configuration."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def ecs_task(task):
    """What is wrong with a task definition, as the SDK reads the API of ECS; nothing where it may be registered."""
    import botocore.session
    from botocore.validate import ParamValidator

    model = botocore.session.Session().get_service_model("ecs")
    shape = model.operation_model("RegisterTaskDefinition").input_shape
    return ParamValidator().validate(task, shape).generate_report()


def issue_token(jwks, claims):
    """A token with these claims for five minutes, signed by a new key (RS256) whose public half is written as a set of keys."""
    import base64
    import time

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    def encode(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    def number(value):
        return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_numbers()
    with open(jwks, "w") as file:
        named = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": number(public.n), "e": number(public.e)}
        json.dump({"keys": [named]}, file)
    now = int(time.time())
    parts = [{"alg": "RS256", "typ": "JWT", "kid": "1"}, claims | {"iat": now, "exp": now + 300}]
    signed = ".".join(encode(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{encode(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def sdk_calls(host, path, authority, certificate, private_key, secret, token, folder):
    """What the official SDK is answered with a key, a password, a token of the server, a token of an issuer, and a certificate."""
    import os

    # It would read a configuration of the machine's user otherwise.
    os.environ["HOME"] = folder
    import PureCloudPlatformClientV2 as genesys

    configuration = genesys.configuration

    def client(bearer=None, basic=None):
        # Each begins a connection of its own, with what is configured then.
        configuration.ssl_context = None
        made = genesys.api_client.ApiClient(host=host)
        if bearer:
            made.set_default_header("Authorization", f"Bearer {bearer}")
        if basic:
            import base64

            made.set_default_header("Authorization", "Basic " + base64.b64encode(basic.encode()).decode())
        return made

    def ask(made):
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        return made.call_api(path, "POST", header_params=headers, body={}, response_type="object")

    configuration.ssl_ca_cert = authority
    answers = [ask(client(bearer=secret)), ask(client(basic=f"genesys:{secret}"))]
    own = client()
    own.get_client_credentials_token("flows", secret)
    answers.append(ask(client(bearer=own.access_token)))
    answers.append(ask(client(bearer=token)))
    configuration.set_mtls_certificates(certificate, private_key, authority)
    answers.append(ask(genesys.api_client.ApiClient(host=host)))
    return answers


def mcp(url, key, calls):
    """Names of the tools, and what each call gives, by the official client of the Model Context Protocol."""
    import asyncio

    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async def session():
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http:
            async with Client(streamable_http_client(url, http_client=http)) as client:
                tools = [tool.name for tool in (await client.list_tools()).tools]
                results = [await client.call_tool(name, arguments) for name, arguments in calls]
                return {
                    "version": client.protocol_version,
                    "tools": tools,
                    "results": [{"is_error": result.is_error, "content": result.structured_content} for result in results],
                }

    return asyncio.run(session())


def generate(path, rows):
    """Writes conversation metrics as CSV: the same bytes for the same number of rows. Numbers are fictional (555-01xx)."""
    import duckdb

    duckdb.execute(
        f"""
        COPY (
          WITH n AS (SELECT i, hash(i, 'a') AS a, hash(i, 'b') AS b, hash(i, 'c') AS c, md5(i::VARCHAR) AS m FROM range({int(rows)}) r(i))
          SELECT
            substr(m, 1, 8) || '-' || substr(m, 9, 4) || '-' || substr(m, 13, 4) || '-' || substr(m, 17, 4) || '-' || substr(m, 21, 12)
              AS conversation_id,
            TIMESTAMP '2026-01-01' + INTERVAL (i * 3) SECOND AS conversation_start,
            ['Support','Sales','Billing','Retention','Tech Tier 2','Claims','VIP','Callback'][1 + (a % 8)::INT] AS queue_name,
            'agent-' || lpad((a // 8 % 500)::VARCHAR, 4, '0') AS agent_id,
            ['voice','chat','email','message','callback'][1 + (a // 4000 % 5)::INT] AS media_type,
            ['inbound','outbound'][1 + (a // 20000 % 2)::INT] AS direction,
            '+1' || (200 + b % 700)::VARCHAR || '55501' || lpad((b // 700 % 100)::VARCHAR, 2, '0') AS ani,
            (c % 600000)::BIGINT AS t_handle_ms,
            (c // 600000 % 300000)::BIGINT AS t_talk_ms,
            (b // 70000 % 60000)::BIGINT AS t_acw_ms,
            (a // 40000 % 120000)::BIGINT AS t_wait_ms,
            ((b // 4200000000 % 1000)::INT / 100.0)::DECIMAL(4, 2) AS nps_score,
            CASE WHEN a // 4800000000 % 10 = 0 THEN NULL
                 ELSE ['resolved','transferred','abandoned','callback, scheduled','customer said "thanks"'][1 + (a // 48000000000 % 5)::INT]
            END AS wrapup
          FROM n ORDER BY i
        ) TO '{path}' (FORMAT csv, HEADER)
        """
    )
    return None


def query(sql, tables, params):
    """Rows of `sql` over local files, computed by DuckDB. `tables` maps a name to {path, format, types}."""
    import duckdb

    readers = {"csv": "read_csv", "ndjson": "read_json", "json": "read_json", "parquet": "read_parquet"}
    connection = duckdb.connect()
    for name, table in tables.items():
        types = f", types = {table['types']!r}" if table.get("types") else ""
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {readers[table['format']]}('{table['path']}'{types})")
    result = connection.execute(sql, params or None)
    columns = [column[0] for column in result.description]
    return [dict(zip(columns, map(plain, row))) for row in result.fetchall()]


def genesys_models(bodies):
    """Holds JSON bodies to the models of the official SDK: every field is known, and every value is of its type. Gives what is wrong."""
    import PureCloudPlatformClientV2 as genesys

    wrong = []

    def hold(kind, value, place):
        if value is None:
            return
        if kind.startswith("list["):
            for index, item in enumerate(value):
                hold(kind[5:-1], item, f"{place}/{index}")
        elif kind.startswith("dict("):
            for key, item in value.items():
                hold(kind[5:-1].split(", ")[1], item, f"{place}/{key}")
        elif kind in ("str", "int", "bool", "float"):
            expected = {"str": str, "int": int, "bool": bool, "float": (int, float)}[kind]
            if not isinstance(value, expected) or (kind == "int" and isinstance(value, bool)):
                wrong.append(f"{place} is {type(value).__name__}, not {kind}")
        elif kind == "JsonSchemaDocument":
            # The SDK's model of a schema is open: its own keywords, and any property.
            if not isinstance(value, dict) or value.get("type") not in ("object", "array"):
                wrong.append(f"{place} is no schema of an object or an array")
        elif kind != "object":
            model = getattr(genesys, kind)()
            names = {wire: name for name, wire in model.attribute_map.items()}
            for key, item in value.items():
                if key not in names:
                    wrong.append(f"{place}/{key} is no field of {kind}")
                    continue
                hold(model.swagger_types[names[key]], item, f"{place}/{key}")
                if not isinstance(item, dict):
                    setattr(model, names[key], item)

    for model, body in bodies:
        hold(model, body, model)
    return wrong


def cases(folder):
    """DuckDB's part in the SQL cases of a folder: how many it answered; one that it answers otherwise is an error."""
    from cases import check

    counts, wrong = check(folder)
    if wrong:
        raise AssertionError("\n".join(wrong))
    return counts


def differential(tables):
    """Generated questions, each answered by rows or by the reason why not."""
    from differential import answers

    return answers(tables)


def plain(value):
    """A value as our own JSON has it."""
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    return value


def client(service, endpoint, keys):
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=keys["id"],
        aws_secret_access_key=keys["secret"],
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
    )


def put(endpoint, keys, bucket, objects):
    """Makes the bucket and puts local files into it; `objects` maps a key to a path."""
    s3 = client("s3", endpoint, keys)
    s3.create_bucket(Bucket=bucket)
    for key, path in objects.items():
        s3.upload_file(path, bucket, key)
    return None


def users(endpoint, statements):
    """Makes an IAM user with an inline policy for each name, and gives their access keys."""
    iam = client("iam", endpoint, {"id": "setup", "secret": "setup"})
    keys = {}
    for name, policy in statements.items():
        iam.create_user(UserName=name)
        if policy:
            document = json.dumps({"Version": "2012-10-17", "Statement": policy})
            iam.put_user_policy(UserName=name, PolicyName="e2e", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        keys[name] = {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    return keys


def enforce(endpoint):
    """From now on moto checks signatures and policies of every request."""
    request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"})
    urllib.request.urlopen(request).read()
    return None


def policy_cases(endpoint, cases):
    """Whether moto lets each case's user do what the case asks, with IAM enforced."""
    from botocore.exceptions import ClientError

    def document(statements):
        return json.dumps({"Version": "2012-10-17", "Statement": statements})

    everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    names = [f"case-{index}" for index in range(len(cases))]
    statements = {name: case.get("identity") for name, case in zip(names, cases)}
    keys = users(endpoint, {"administrator": everything, **statements})
    iam = client("iam", endpoint, {"id": "setup", "secret": "setup"})
    for name, case in zip(names, cases):
        if case.get("group"):
            iam.create_group(GroupName=name)
            iam.put_group_policy(GroupName=name, PolicyName="e2e", PolicyDocument=document(case["group"]))
            iam.add_user_to_group(GroupName=name, UserName=name)
    administrator = client("s3", endpoint, keys["administrator"])
    administrator.create_bucket(Bucket="lake")
    administrator.put_object(Bucket="lake", Key="exports/calls.csv", Body=b"a,b\n1,2\n")
    enforce(endpoint)
    answers = []
    for name, case in zip(names, cases):
        if case.get("bucket"):
            administrator.put_bucket_policy(Bucket="lake", Policy=document(case["bucket"]))
        s3 = client("s3", endpoint, keys[name])
        try:
            if case.get("action") == "s3:ListBucket":
                s3.list_objects_v2(Bucket="lake", Prefix=case["prefix"])
            else:
                s3.get_object(Bucket="lake", Key="exports/calls.csv")
            answers.append(True)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
                raise
            answers.append(False)
        if case.get("bucket"):
            administrator.delete_bucket_policy(Bucket="lake")
    return answers


def genesys_hosts():
    """Region and API host of each region that the official SDK knows."""
    from PureCloudPlatformClientV2 import PureCloudRegionHosts

    return [[region.name, region.get_api_host()] for region in PureCloudRegionHosts]


def spreadsheet(path):
    """The cells of a file's only sheet, row by row: the type that openpyxl gives each, and its value as text."""
    import openpyxl

    (sheet,) = openpyxl.load_workbook(path).worksheets
    # A formula would be a cell of the type f.
    return [[[cell.data_type, None if cell.value is None else str(cell.value)] for cell in row] for row in sheet.iter_rows()]


FUNCTIONS = {
    function.__name__: function
    for function in (
        generate, query, cases, differential, genesys_models, put, users, enforce, policy_cases, genesys_hosts, openapi, mcp, sha256,
        issue_token, sdk_calls, spreadsheet, ecs_task,
    )
}

if __name__ == "__main__":
    json.dump(FUNCTIONS[sys.argv[1]](**json.load(sys.stdin)), sys.stdout)
