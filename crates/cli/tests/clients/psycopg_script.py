"""psycopg 3 through the gateway: run by clients.rs, connects as the PG… environment says, prints nothing but `ok`."""

import datetime as dt
import decimal
import os
import uuid

import psycopg
from psycopg import errors

DSN = os.environ["DRIESLOT_DSN"]
COLUMNS = (
    "national_number, family_name, nickname, shoe_size, age, account, balance, income, active, born, last_seen,"
    " signed_at, token, town, score"
)
ZONE = dt.timezone.utc


def row(number):
    return (
        number,
        f"psycopg Ünïcode '{number}'",
        f"psy{number}",
        41,
        -7,
        2**62 + number,
        decimal.Decimal("12345678.90"),
        decimal.Decimal("-0.01"),
        True,
        dt.date(1900, 2, 28),
        dt.datetime(2024, 2, 29, 23, 59, 59, 999999),
        dt.datetime(2024, 7, 1, 12, 0, tzinfo=ZONE),
        uuid.UUID(int=number),
        "Gent",
        number,
    )


def same(found, expected):
    assert len(found) == len(expected), (found, expected)
    for one, other in zip(found, expected):
        assert one == other and type(one) is type(other), (one, other)


def parameters_and_results(conn):
    """Every type, as text and as binary, written and read back."""
    marks = ", ".join(["%s"] * 15)
    for number, binary in ((500, False), (501, True)):
        with conn.cursor(binary=binary) as cur:
            expected = row(number)
            text = f"INSERT INTO person (person_id, {COLUMNS}) VALUES (%s, {marks.replace('%s', '%b') if binary else marks}) RETURNING {COLUMNS}"
            same(cur.execute(text, (number, *expected)).fetchone(), expected)
            mark = "%b" if binary else "%t"
            for column, value in (("national_number", expected[0]), ("nickname", expected[2]), ("token", expected[12]), ("born", expected[9])):
                found = cur.execute(f"SELECT {COLUMNS} FROM person WHERE {column} = {mark} AND person_id = %s", (value, number)).fetchone()
                same(found, expected)
            empty = cur.execute(f"UPDATE person SET income = {mark}, active = {mark} WHERE person_id = %s RETURNING income, active", (None, None, number)).fetchone()
            assert empty == (None, None), empty


def types_are_logical(conn):
    cur = conn.execute("SELECT family_name, nickname, balance, active, signed_at FROM person LIMIT 1")
    assert [c.type_code for c in cur.description] == [25, 1043, 1700, 16, 1184], cur.description
    assert cur.description[1].display_size == 20 and cur.description[2].precision == 10 and cur.description[2].scale == 2


def prepared(conn):
    """psycopg prepares after five runs; the sixth must say the same."""
    for number in range(12):
        wanted = 500 + number % 2
        found = conn.execute("SELECT family_name FROM person WHERE token = %s", (uuid.UUID(int=wanted),)).fetchone()
        assert found == (f"psycopg Ünïcode '{wanted}'",), found
    conn.cursor().executemany("UPDATE person SET account = %s WHERE person_id = %s", [(n, 500) for n in range(30)])
    assert conn.execute("SELECT account FROM person WHERE person_id = 500").fetchone() == (29,)


def copies(conn):
    with conn.cursor() as cur:
        with cur.copy("COPY permit (permit_id, national_number, kind, remark) FROM STDIN") as copy:
            for n in range(600, 700):
                copy.write_row((n, n, "copy", None if n % 7 == 0 else f"remark\t{n}\\"))
        with cur.copy("COPY permit (permit_id, remark) TO STDOUT") as copy:
            rows = {int(a): b for a, b in copy.rows()}
    assert rows[601] == "remark\t601\\" and rows[602] is None and len(rows) >= 100, rows


def pipelines(conn):
    """An error in the middle of a batch: what follows is aborted up to the Sync, what comes after works."""
    if not psycopg.Pipeline.is_supported():
        raise SystemExit("libpq is too old for pipelines")
    for refused in (False, True):
        bad = "SELECT * FROM person ORDER BY family_name" if refused else "SELECT 1/0"
        expected = errors.FeatureNotSupported if refused else errors.DivisionByZero
        with conn.pipeline() as pipeline:
            first = conn.execute("SELECT family_name FROM person WHERE nickname = %s", ("psy500",))
            pipeline.sync()
            # The error may be told at any of these, depending on when the answer arrives.
            try:
                failing = conn.execute(bad)
                conn.execute("UPDATE person SET score = -1 WHERE nickname = %s", ("psy500",))
                pipeline.sync()
                failing.fetchall()
                raise AssertionError(f"{bad} did not fail")
            except expected:
                pass
            try:
                pipeline.sync()
            except errors.PipelineAborted:
                pass
            last = conn.execute("SELECT score FROM person WHERE nickname = %s", ("psy500",))
            pipeline.sync()
            assert first.fetchone() == ("psycopg Ünïcode '500'",)
            assert last.fetchone() == (500,), "an aborted statement was carried out"


def transactions(conn):
    with conn.transaction():
        conn.execute("UPDATE person SET nickname = 'outer' WHERE person_id = 500")
        try:
            with conn.transaction():
                conn.execute("UPDATE person SET nickname = 'inner' WHERE person_id = 500")
                conn.execute("SELECT sum(income) FROM person")
            raise AssertionError("a sum over sealed values")
        except errors.FeatureNotSupported as error:
            assert error.diag.message_hint and "income" in str(error), error
        assert conn.execute("SELECT nickname FROM person WHERE person_id = 500").fetchone() == ("outer",)
    with conn.cursor(name="portal") if False else conn.cursor() as cur:
        cur.execute("SELECT family_name FROM person ORDER BY person_id")
        assert len(cur.fetchmany(3)) == 3


def wrong_password():
    try:
        psycopg.connect(DSN, password="wrong")
        raise AssertionError("a wrong password opened a session")
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error), error


with psycopg.connect(DSN, autocommit=True) as connection:
    connection.execute("SET TimeZone = 'UTC'")
    parameters_and_results(connection)
    types_are_logical(connection)
    prepared(connection)
    copies(connection)
    pipelines(connection)
    transactions(connection)
wrong_password()
print("ok")
