"""The SQL cases of `crates/transform/tests/cases`, answered by DuckDB: `cases.py FOLDER`, a count for each file as JSON on stdout.

A case that DuckDB answers otherwise is printed, and the exit code is then 1. `skipif duckdb` cases are counted and left out. With
`--write`, a query without a result gets DuckDB's.
"""

import bz2
import datetime
import decimal
import gzip
import itertools
import json
import lzma
import math
import pathlib
import re
import sys
import tempfile

import duckdb

READERS = {"csv": "read_csv", "tsv": "read_csv", "json": "read_json", "ndjson": "read_json", "parquet": "read_parquet"}
TYPES = {"string": "VARCHAR", "integer": "BIGINT", "float": "DOUBLE", "boolean": "BOOLEAN", "date": "DATE", "timestamp": "TIMESTAMP",
         "timestamptz": "TIMESTAMPTZ"}
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")


def shown(value):
    """A value as flowlake's JSON has it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # JSON has no other number.
        return "NULL" if math.isnan(value) or math.isinf(value) else repr(value)
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        if value.tzinfo:
            value = value.astimezone(datetime.timezone.utc)
        text = value.strftime("%Y-%m-%dT%H:%M:%S")
        if value.microsecond:
            text += f".{value.microsecond:06}".removesuffix("000")
        return text + ("Z" if value.tzinfo else "")
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(nested(value), separators=(",", ":"), ensure_ascii=False)
    text = str(value).replace("\n", "\\n").replace("\r", "\\r")
    return text or "(empty)"


def nested(value):
    if isinstance(value, dict):
        return {name: nested(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [nested(item) for item in value]
    return value if isinstance(value, (int, float, str)) or value is None else shown(value)


def letter(kind):
    kind = str(kind)
    if kind in INTEGERS:
        return "I"
    return "R" if kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL") else "T"


class Scene:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.reset()

    def reset(self):
        self.folder.cleanup()
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        self.params, self.tables = {}, {}

    def file(self, head, body):
        *how, key = head.split()
        content = (body + "\n").encode() if body else b""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        for how in how:
            content = self.written(how, content, path)
        if content is not None:
            path.write_bytes(content)

    def written(self, how, content, path):
        if how == "parquet":
            source = self.root / "rows.csv"
            source.write_bytes(content)
            self.connection.execute(f"COPY (SELECT * FROM read_csv('{source}')) TO '{path}' (FORMAT parquet)")
            source.unlink()
            return None
        if how == "escaped":
            text = content.decode().rstrip("\n").replace("\n", "").replace("\\\\", "\x01")
            text = text.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t").replace("\\0", "\0")
            return text.replace("\x01", "\\").encode()
        writers = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "bom": lambda plain: b"\xef\xbb\xbf" + plain}
        if how in writers:
            return writers[how](content)
        if how in ("utf-16le", "utf-16be", "latin-1"):
            return content.decode().encode(how)
        # Written for others: cases over such a file are not ours.
        return content

    def view(self, name, spec):
        spec = dict(spec)
        uris = spec.pop("uri")
        uris = [uris] if isinstance(uris, str) else uris
        paths = []
        for uri in uris:
            key = uri.removeprefix("s3://lake/")
            key = re.sub(r"\{(\w+)\}", lambda found: str(self.params.get(found[1])), key)
            folder = self.root / key
            paths.append(str(folder) + ("/**" if key.endswith("/") else ""))
        ending = paths[0].split(".")[-1] if "format" not in spec else spec["format"]
        for compressed in (".gz",):
            if paths[0].endswith(compressed) and "format" not in spec:
                ending = paths[0].removesuffix(compressed).split(".")[-1]
        ending = {"jsonl": "ndjson", "txt": "csv"}.get(ending, ending)
        spec.pop("format", None)
        reader = READERS[ending]
        options = {"union_by_name": "true"} if len(paths) > 1 or "*" in paths[0] else {}
        if "=" in "".join(str(path) for path in self.root.rglob("*")):
            options["hive_partitioning"] = "true"
        if reader == "read_csv":
            options.setdefault("nullstr", "['']")
            if ending == "tsv":
                options["delim"] = "'\\t'"
        if reader == "read_json":
            options["format"] = "'newline_delimited'" if ending == "ndjson" else "'array'"
        for key, value in spec.items():
            if key in ("delimiter", "quote", "escape", "comment"):
                options["delim" if key == "delimiter" else key] = "'" + value.replace("'", "''") + "'"
            elif key == "header":
                options["header"] = str(value).lower()
            elif key == "null_values":
                options["nullstr"] = "[" + ", ".join(f"'{text}'" for text in value) + "]"
            elif key in ("types", "columns"):
                types = ", ".join(f"'{column}': '{TYPES.get(kind, kind)}'" for column, kind in value.items())
                options["types" if key == "types" and reader == "read_csv" else "columns"] = "{" + types + "}"
            elif key == "partitions":
                types = ", ".join(f"'{column}': {TYPES.get(kind, kind)}" for column, kind in value.items())
                options["hive_types"] = "{" + types + "}"
            elif key == "on_error" and value == "fail":
                pass
            else:
                raise ValueError(f"{key} is nothing that DuckDB knows: mark the cases with skipif duckdb")
        settings = "".join(f", {name} = {value}" for name, value in options.items())
        listed = "[" + ", ".join(f"'{path}'" for path in paths) + "]"
        return f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {reader}({listed}{settings})"

    def param(self, name, text):
        spec, end = json.JSONDecoder().raw_decode(text)
        sent = text[end:].strip()
        value = json.loads(sent) if sent else spec.get("default")
        kinds = {"date": datetime.date.fromisoformat, "decimal": decimal.Decimal, "integer": int,
                 "timestamp": datetime.datetime.fromisoformat}
        make = kinds.get(spec["type"], lambda same: same)
        try:
            self.params[name] = make(value) if isinstance(value, str) else value
        except (ValueError, decimal.InvalidOperation):
            # What is to be refused; no case that we answer uses it.
            self.params[name] = value

    def statement(self, text):
        word, _, rest = text.partition(" ") if not text.startswith("FILE\n") else ("FILE", "", "")
        if word == "RESET":
            self.reset()
        elif word == "PARAMS":
            self.params = {}
        elif word == "FILE":
            head, _, body = rest.partition("\n")
            self.file(head, body)
        elif word == "TABLE":
            name, _, spec = rest.partition(" ")
            self.tables[name] = json.loads(spec)
        elif word == "PARAM":
            name, _, spec = rest.partition(" ")
            self.param(name, spec)

    def query(self, sql):
        for name, spec in self.tables.items():
            self.connection.execute(self.view(name, spec))
        used = {name: value for name, value in self.params.items() if f"${name}" in sql}
        result = self.connection.execute(sql, used or None)
        letters = "".join(letter(column[1]) for column in result.description)
        return letters, [" ".join(map(shown, row)) for row in result.fetchall()]


def same(expected, actual, order):
    split = lambda lines: [" ".join(line.split()) for line in lines]
    expected, actual = split(expected), split(actual)
    return sorted(expected) == sorted(actual) if order else expected == actual


def run(path, write):
    scene, wrong, counts, out = Scene(), [], {"answered": 0, "left out": 0}, []
    skip = False
    for block in re.split(r"\n\n+", path.read_text().strip("\n")):
        lines = block.split("\n")
        head = list(itertools.takewhile(lambda line: line.startswith(("# ", "skipif", "onlyif")), lines))
        skip = "skipif duckdb" in head or "onlyif flowlake" in head
        rest = lines[len(head):]
        if not rest:
            out.append(block)
            continue
        body = "\n".join(rest[1:])
        if rest[0].startswith("statement"):
            if rest[0] == "statement ok" and not skip:
                scene.statement(body)
        elif rest[0].startswith("query error"):
            # What each engine says of a mistake is its own.
            pass
        elif rest[0].startswith("query"):
            sql, found, expected = body.partition("\n----")
            order = "rowsort" in rest[0]
            if skip:
                counts["left out"] += 1
                if write and not found:
                    rest = ["query T" + (" rowsort" if order else ""), sql, "----"]
            else:
                counts["answered"] += 1
                try:
                    letters, rows = scene.query(sql)
                except Exception as error:
                    letters, rows = "", [f"{type(error).__name__}: {error}"]
                    wrong.append(f"{path.name}: {sql}\n  {rows[0]}")
                else:
                    if write and not found:
                        shown_rows = sorted(rows) if order else rows
                        rest = [f"query {letters}" + (" rowsort" if order else ""), sql, "----", *shown_rows]
                    elif not same([line for line in expected.split("\n") if line], rows, order):
                        wrong.append(f"{path.name}: {sql}\n  expected {expected.split()}\n  DuckDB   {rows}")
        out.append("\n".join(head + rest))
    if write:
        path.write_text("\n\n".join(out) + "\n")
    return counts, wrong


def check(folder, write=False):
    """Counts for each file, and what is answered otherwise."""
    counts, wrong = {}, []
    for path in sorted(pathlib.Path(folder).glob("*.slt")):
        counts[path.stem], more = run(path, write)
        wrong += more
    return counts, wrong


def main():
    write = "--write" in sys.argv
    counts, wrong = check([word for word in sys.argv[1:] if not word.startswith("--")][0], write)
    print("\n".join(wrong), file=sys.stderr)
    print(json.dumps(counts))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
