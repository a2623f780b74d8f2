"""psycopg2: values inlined by the client into the simple protocol, which is how most older applications speak."""

import io
import threading
import uuid

import psycopg2
import psycopg2.extras
from psycopg2 import errors

from scenario import COLUMNS, EXACT, EXTREMES, GATEWAY, LIST, REFUSED, attempt, citizen, hash_of, nobody, plant, refused, tell

MARKS = ", ".join(["%s"] * len(COLUMNS))
INSERT = f"INSERT INTO citizen ({LIST}) VALUES ({MARKS}) RETURNING citizen_id"
psycopg2.extras.register_uuid()


def connect(**more):
    conn = psycopg2.connect("", options="-c timezone=UTC", **more)
    conn.autocommit = True
    return conn


def query(conn, text, values=None):
    with conn.cursor() as cur:
        cur.execute(text, values)
        return cur.fetchall()


def rows(conn):
    tell("insert one", query(conn, INSERT, citizen(1)), query(conn, INSERT, citizen(2)))
    tell("insert nulls", query(conn, INSERT, nobody(11)))
    tell("extremes", query(conn, INSERT, EXTREMES))
    with conn.cursor() as cur:
        cur.execute("SELECT * FROM citizen ORDER BY citizen_id")
        tell("fetch", cur.fetchall())
        tell("described", [(c.name, c.type_code, c.internal_size, c.precision, c.scale) for c in cur.description])
        cur.executemany(INSERT, [citizen(number) for number in range(100, 120)])
        psycopg2.extras.execute_batch(cur, INSERT, [citizen(number) for number in range(120, 150)], page_size=10)
        many = [citizen(number) for number in range(150, 400)]
        text = f"INSERT INTO citizen ({LIST}) VALUES %s RETURNING citizen_id"
        tell("insert many", psycopg2.extras.execute_values(cur, text, many, page_size=100, fetch=True))


def lookups(conn):
    for name, at in EXACT.items():
        values = [citizen(number)[at] for number in (1, 2, 101)]
        tell("find =", name, query(conn, f"SELECT citizen_id FROM citizen WHERE {name} = %s ORDER BY 1", values[:1]))
        tell("find IN", name, query(conn, f"SELECT citizen_id FROM citizen WHERE {name} IN %s ORDER BY 1", (tuple(values),)))
        cast = "::uuid[]" if name == "token" else ""
        attempt("find ANY", name, run=lambda: query(conn, f"SELECT citizen_id FROM citizen WHERE {name} = ANY(%s{cast}) ORDER BY 1", (values,)), refusal=errors.FeatureNotSupported)


def changes(conn):
    with conn.cursor() as cur:
        for number, kind in enumerate(("work", "stay", "work")):
            cur.execute("INSERT INTO permit VALUES (%s, %s, %s, %s)", (number, citizen(1 + number % 2)[0], kind, f"remark {number}"))
    tell("join", query(conn, "SELECT c.family_name, p.remark, p.kind FROM citizen c JOIN permit p ON p.citizen_number = c.national_number WHERE c.nickname IN ('nick1', 'nick2') ORDER BY p.permit_id"))
    tell("update", query(conn, "UPDATE citizen SET income = %s, active = %s, score = score + 1 WHERE nickname = %s RETURNING income, active, score, family_name", (None, True, "nick1")))
    upsert = "INSERT INTO citizen (national_number, family_name, nickname) VALUES (%s, %s, %s) ON CONFLICT (national_number) DO UPDATE SET family_name = EXCLUDED.family_name, nickname = EXCLUDED.nickname RETURNING family_name, nickname, age"
    tell("upsert", query(conn, upsert, (citizen(2)[0], "Changed", "other")))
    tell("delete", query(conn, "DELETE FROM citizen WHERE token IN %s RETURNING citizen_id, token", ((citizen(110)[12], uuid.UUID(int=9)),)))


def transactions(conn):
    conn.autocommit = False
    with conn.cursor() as cur:
        cur.execute("UPDATE citizen SET nickname = 'outer' WHERE nickname = 'nick1'")
        cur.execute("SAVEPOINT inside")
        try:
            cur.execute(INSERT, citizen(2))
        except errors.UniqueViolation as error:
            tell("unique", error.pgcode, error.diag.constraint_name, error.diag.table_name)
        cur.execute("ROLLBACK TO SAVEPOINT inside")
        cur.execute("SELECT nickname FROM citizen WHERE national_number = %s", (citizen(1)[0],))
        tell("savepoint", cur.fetchall())
    conn.rollback()
    tell("rollback", query(conn, "SELECT nickname FROM citizen WHERE national_number = %s", (citizen(1)[0],)))
    conn.commit()
    conn.autocommit = True
    if GATEWAY:
        try:
            query(conn, REFUSED)
        except errors.FeatureNotSupported as error:
            refused(error.pgcode, error.diag.message_hint)
    tell("goes on", query(conn, "SELECT family_name FROM citizen WHERE age = 1 ORDER BY citizen_id"))


def streams(conn):
    with conn.cursor() as cur:
        lines = "".join(f"{n}\t{citizen(1)[0] if n % 7 else chr(92) + 'N'}\tcopy\tremark {n}\n" for n in range(1000, 6000))
        cur.copy_from(io.StringIO(lines), "permit")
        tell("copy in", query(conn, "SELECT count(*), count(citizen_number) FROM permit WHERE kind = 'copy'"))
        out = io.StringIO()
        cur.copy_to(out, "permit", columns=("permit_id", "citizen_number", "remark"))
        tell("copy out", hash_of(sorted(out.getvalue().splitlines())))
    # Fetched in one piece, then by the server's cursor.
    tell("stream", hash_of(query(conn, "SELECT permit_id, citizen_number, remark FROM permit WHERE kind = 'copy' ORDER BY permit_id")))
    attempt("cursor", run=lambda: by_server(), refusal=errors.FeatureNotSupported)


def by_server():
    conn = connect()
    conn.autocommit = False
    with conn, conn.cursor(name="by_server") as cur:
        cur.itersize = 500
        cur.execute("SELECT permit_id, remark FROM permit WHERE kind = %s ORDER BY permit_id", ("copy",))
        return cur.fetchmany(3), hash_of(list(cur))


def concurrent():
    def one(number):
        conn = connect()
        query(conn, INSERT, citizen(number))
        for round in range(5):
            query(conn, "UPDATE citizen SET account = %s WHERE national_number = %s RETURNING 1", (number * round, citizen(number)[0]))
            results[number].append(query(conn, "SELECT nickname, account FROM citizen WHERE token = %s", (citizen(number)[12],)))
        conn.close()

    results = {number: [] for number in range(500, 508)}
    threads = [threading.Thread(target=one, args=(number,)) for number in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell("concurrent", results)


def wrong_password():
    try:
        connect(password="wrong")
    except psycopg2.OperationalError as error:
        tell("wrong password", "password authentication failed" in str(error))


connection = connect()
for part in (rows, lookups, changes, transactions, streams):
    part(connection)
concurrent()
plant(lambda text, values: query(connection, text, values))
wrong_password()
tell("done")
