"""Writes conversations of a contact centre as CSV, CSV with gzip, NDJSON and Parquet.

Usage: generate.py ROWS FOLDER. The same number of rows always gives the same rows.
"""

import os
import sys

import duckdb

# A value of 0..1 that depends on the row and on nothing else.
CHANCE = "(hash(i, '{0}') % 1000003) / 1000003.0"


def pick(name, values):
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"[{listed}][1 + floor({CHANCE.format(name)} * {len(values)})::INT]"


def number(name, below):
    return f"floor({CHANCE.format(name)} * {below})::BIGINT"


QUEUES = ["Support", "Sales", "Billing", "Retention", "Tech Tier 2", "Claims", "VIP", "Callback"]
MEDIA = ["voice", "chat", "email", "message", "callback"]
# Some hold what has to be quoted.
WRAPUPS = ["resolved", "transferred", "abandoned", "callback, scheduled", 'customer said "thanks"']


def conversations(connection, rows):
    """Makes the table `conversations`."""
    connection.execute(
        f"""
    CREATE TABLE conversations AS SELECT
      md5(i::VARCHAR)::UUID::VARCHAR AS conversation_id,
      TIMESTAMP '2026-01-01' + INTERVAL (i * 3) SECOND AS conversation_start,
      {pick("queue", QUEUES)} AS queue_name,
      'agent-' || lpad({number("agent", 500)}::VARCHAR, 4, '0') AS agent_id,
      {pick("media", MEDIA)} AS media_type,
      {pick("direction", ["inbound", "outbound"])} AS direction,
      '+1' || (2000000000 + {number("ani", 7999999999)})::VARCHAR AS ani,
      {number("handle", 600000)} AS t_handle_ms,
      {number("talk", 300000)} AS t_talk_ms,
      {number("acw", 60000)} AS t_acw_ms,
      {number("wait", 120000)} AS t_wait_ms,
      round({CHANCE.format("nps")} * 10, 2) AS nps_score,
      CASE WHEN {CHANCE.format("none")} >= 0.1 THEN {pick("wrapup", WRAPUPS)} END AS wrapup
    FROM range({rows}) AS rows(i)
    """
    )


FORMATS = {
    "csv": "FORMAT csv, HEADER",
    "csv.gz": "FORMAT csv, HEADER, COMPRESSION gzip",
    "ndjson": "FORMAT json",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}


def main():
    rows, folder = int(sys.argv[1]), sys.argv[2]
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    conversations(connection, rows)
    for ending, options in FORMATS.items():
        path = os.path.join(folder, f"conversations.{ending}")
        connection.execute(f"COPY conversations TO '{path}' ({options})")


if __name__ == "__main__":
    main()
