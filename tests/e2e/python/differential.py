"""DuckDB's answers to generated questions."""

import datetime
import decimal
import json
import math

import duckdb

# What the other engine calls otherwise.
SPELLINGS = (("LEFT SEMI JOIN", "SEMI JOIN"), ("LEFT ANTI JOIN", "ANTI JOIN"), ("first_value(", "first("), (" IS UNKNOWN", " IS NULL"))


def cell(value):
    """A value as text of JSON, as flowlake answers it."""
    if isinstance(value, float):
        return "null" if math.isnan(value) or math.isinf(value) else repr(value)
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        text = value.astimezone(datetime.timezone.utc).replace(tzinfo=None).isoformat() + "Z" if value.tzinfo else value.isoformat()
        return json.dumps(text)
    if isinstance(value, datetime.date):
        return json.dumps(value.isoformat())
    if isinstance(value, list):
        return "[" + ",".join(map(cell, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def answers(tables):
    """For each table, for each of its questions, its rows, or why there are none."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
    return [[answer(connection, table["parquet"], sql) for sql in table["questions"]] for table in tables]


def answer(connection, parquet, sql):
    for ours, theirs in SPELLINGS:
        sql = sql.replace(ours, theirs)
    connection.execute(f"CREATE OR REPLACE VIEW t AS SELECT * FROM read_parquet('{parquet}')")
    try:
        result = connection.execute(sql)
        columns = [column[0] for column in result.description]
        return [dict(zip(columns, map(cell, row))) for row in result.fetchall()]
    except duckdb.Error as error:
        return str(error).split("\n")[0]
