"""Writes the customers of a contact centre as CSV, and numbers to look up.

Usage: customers.py ROWS FOLDER. The same number of rows always gives the same rows. Every number is of one customer.
"""

import os
import sys

import duckdb

ROWS, FOLDER = int(sys.argv[1]), sys.argv[2]
ASKED = 20000

# A value of 0..1 that depends on the row and on nothing else.
CHANCE = "(hash(i, '{0}') % 1000003) / 1000003.0"


def pick(name, values):
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"[{listed}][1 + floor({CHANCE.format(name)} * {len(values)})::INT]"


def number(name, below):
    return f"floor({CHANCE.format(name)} * {below})::BIGINT"


FIRST = ["Ana", "Ben", "Chloé", "David", "Elif", "Farid", "Grace", "Hiro", "Inés", "Jamal", "Kim", "Łukasz"]
LAST = ["Almeida", "Brown", "Çelik", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ito", "O'Neil", "Smith, Jr."]

connection = duckdb.connect()
connection.execute("SET threads = 2")
connection.execute(
    f"""
    CREATE TABLE customers AS SELECT
      '+1' || (2000000000 + (i * 7919) % 7999999999)::VARCHAR AS ani,
      'C' || lpad(i::VARCHAR, 9, '0') AS customer_id,
      {pick("first", FIRST)} || ' ' || {pick("last", LAST)} AS name,
      {pick("tier", ["bronze", "silver", "gold", "platinum"])} AS tier,
      {pick("language", ["en-US", "es-MX", "fr-CA", "pt-BR", "de-DE"])} AS language,
      {pick("queue", ["Support", "Sales", "Billing", "Retention", "Claims", "VIP"])} AS queue_name,
      {number("balance", 500000)} AS balance_cents,
      TIMESTAMP '2025-01-01' + INTERVAL ({number("seen", 31536000)}) SECOND AS last_contact
    FROM range({ROWS}) AS rows(i)
    ORDER BY hash(i, 'order')
    """
)
path = os.path.join(FOLDER, "customers.csv")
connection.execute(f"COPY customers TO '{path}' (FORMAT csv, HEADER)")
asked = connection.execute(f"SELECT ani FROM customers ORDER BY hash(ani, 'asked') LIMIT {ASKED}").fetchall()
with open(os.path.join(FOLDER, "numbers.txt"), "w") as numbers:
    numbers.writelines(f"{ani}\n" for (ani,) in asked)
