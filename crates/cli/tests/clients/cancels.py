"""psycopg 3, libpq's cancel: in the middle of a query and of COPY in both directions; prints nothing but `ok`."""

import os
import threading
import time

import psycopg
from psycopg import errors

SLOW = (
    "SELECT pg_sleep(60)",
    "SELECT family_name, pg_sleep(60) FROM person WHERE person_id = 1",
)
OUT = (
    "COPY (SELECT repeat('x', 500) FROM generate_series(1, 100000000)) TO STDOUT",
    "COPY (SELECT p.family_name, repeat('x', 500) FROM person p, generate_series(1, 10000000) g) TO STDOUT",
)
IN = (
    ("COPY street (street_id, name) FROM STDIN", "{}\tstreet\n"),
    ("COPY permit (permit_id, national_number, kind, remark) FROM STDIN", "{}\t5\tcancelled\tremark\n"),
)


def works(conn):
    assert conn.execute("SELECT family_name FROM person WHERE person_id = 1").fetchone() == ("Peeters",)
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def query(conn, text):
    threading.Timer(0.5, conn.cancel_safe).start()
    begun = time.monotonic()
    try:
        conn.execute(text)
        raise AssertionError("not cancelled")
    except errors.QueryCanceled:
        assert time.monotonic() - begun < 20


def copy_out(conn, text):
    rows = 0
    try:
        with conn.cursor().copy(text) as copy:
            for rows, _ in enumerate(copy):
                if rows == 100:
                    conn.cancel_safe()
        raise AssertionError("not cancelled")
    except errors.QueryCanceled:
        assert rows >= 100


def copy_in(conn, text, row):
    try:
        with conn.cursor().copy(text) as copy:
            for number in range(3_000_000):
                copy.write(row.format(1_000_000 + number))
                if number == 20_000:
                    conn.cancel_safe()
        raise AssertionError("not cancelled")
    except errors.QueryCanceled:
        pass


with psycopg.connect(os.environ["DRIESLOT_DSN"], autocommit=True) as conn:
    for text in SLOW:
        query(conn, text)
        works(conn)
    for text in OUT:
        copy_out(conn, text)
        works(conn)
    for text, row in IN:
        copy_in(conn, text, row)
        works(conn)
    assert conn.execute("SELECT count(*) FROM permit WHERE kind = 'cancelled'").fetchone() == (0,)
print("ok")
