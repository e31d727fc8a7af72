"""Writes the contents of small files: conversations of a contact centre, some hundred in each file.

Usage: contents.py FILES ROWS FOLDER. Each is written as NDJSON with gzip, as CSV and as Parquet, and the same numbers always
give the same rows.
"""

import os
import sys

import duckdb

from generate import FORMATS, conversations

FILES, ROWS, FOLDER = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
OPTIONS = {name: FORMATS[name] for name in ("csv", "parquet")}
OPTIONS["ndjson.gz"] = FORMATS["ndjson"] + ", COMPRESSION gzip"

connection = duckdb.connect()
connection.execute("SET threads = 2")
conversations(connection, FILES * ROWS)
for number in range(FILES):
    rows = f"(FROM conversations ORDER BY conversation_start LIMIT {ROWS} OFFSET {number * ROWS})"
    for ending, options in OPTIONS.items():
        path = os.path.join(FOLDER, f"{number}.{ending}")
        connection.execute(f"COPY {rows} TO '{path}' ({options})")
