"""Asks one question of one object on S3, or of all below a folder, with one tool, as its own documentation says.

Usage: query.py TOOL FORMAT ENDPOINT BUCKET KEY SQL, the SQL over a table `t`. A KEY that ends in `/` is a folder. The answer's
rows go to standard output, one JSON array a line.
"""

import datetime
import json
import os
import sys

TOOL, FORMAT, ENDPOINT, BUCKET, KEY, SQL = sys.argv[1:7]
IS_FOLDER = KEY.endswith("/")
# All below a folder, for tools that do not take it by itself.
PATTERN = KEY + "**/*." + FORMAT if IS_FOLDER else KEY
URI = f"s3://{BUCKET}/{PATTERN}"
ACCESS, SECRET, REGION = "bench", "benchsecret", "us-east-1"


def polars():
    import polars

    options = {
        "aws_access_key_id": ACCESS,
        "aws_secret_access_key": SECRET,
        "aws_region": REGION,
        "aws_endpoint_url": ENDPOINT,
        "aws_allow_http": "true",
    }
    scans = {
        "csv": polars.scan_csv,
        "csv.gz": polars.scan_csv,
        "ndjson": polars.scan_ndjson,
        "ndjson.gz": polars.scan_ndjson,
        "parquet": polars.scan_parquet,
    }
    frame = scans[FORMAT](URI, storage_options=options)
    return polars.SQLContext(t=frame).execute(SQL).collect(engine="streaming").rows()


def duckdb():
    import duckdb
    import duckdb_extension_httpfs

    connection = duckdb.connect()
    folder = os.path.dirname(duckdb_extension_httpfs.__file__)
    for path, _, names in os.walk(folder):
        for name in names:
            if name == "httpfs.duckdb_extension":
                connection.execute(f"LOAD '{os.path.join(path, name)}'")
    host = ENDPOINT.removeprefix("http://")
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{ACCESS}', SECRET '{SECRET}', REGION '{REGION}',"
        f" ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false)"
    )
    readers = {"csv": "read_csv", "csv.gz": "read_csv", "ndjson": "read_json", "ndjson.gz": "read_json", "parquet": "read_parquet"}
    connection.execute(f"CREATE VIEW t AS SELECT * FROM {readers[FORMAT]}('{URI}')")
    return connection.execute(SQL).fetchall()


def datafusion():
    import datafusion
    from datafusion.object_store import AmazonS3

    context = datafusion.SessionContext()
    store = AmazonS3(
        bucket_name=BUCKET,
        region=REGION,
        access_key_id=ACCESS,
        secret_access_key=SECRET,
        endpoint=ENDPOINT,
        allow_http=True,
    )
    context.register_object_store("s3://", store, BUCKET)
    uri = f"s3://{BUCKET}/{KEY}"
    if FORMAT == "csv":
        context.register_csv("t", uri)
    elif FORMAT == "csv.gz":
        context.register_csv("t", uri, file_extension=".csv.gz", file_compression_type="gzip")
    elif FORMAT == "ndjson":
        context.register_json("t", uri, file_extension=".ndjson")
    elif FORMAT == "ndjson.gz":
        context.register_json("t", uri, file_extension=".ndjson.gz", file_compression_type="gzip")
    else:
        context.register_parquet("t", uri)
    return [tuple(row.values()) for batch in context.sql(SQL).collect() for row in batch.to_pylist()]


def chdb():
    import chdb

    names = {"csv": "CSVWithNames", "csv.gz": "CSVWithNames", "ndjson": "JSONEachRow", "ndjson.gz": "JSONEachRow", "parquet": "Parquet"}
    source = f"s3('{ENDPOINT}/{BUCKET}/{PATTERN}', '{ACCESS}', '{SECRET}', '{names[FORMAT]}')"
    answer = chdb.query(SQL.replace("FROM t", f"FROM {source}"), "JSONCompactEachRow")
    return [json.loads(line) for line in str(answer).splitlines()]


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return value


for row in {"polars": polars, "duckdb": duckdb, "datafusion": datafusion, "chdb": chdb}[TOOL]():
    print(json.dumps([plain(value) for value in row]))
