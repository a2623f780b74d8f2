"""psycopg 3: parameters as text and as binary, prepared, in pipelines, streamed; connects as the environment says."""

import threading

import psycopg
from psycopg import ClientCursor, errors

from scenario import COLUMNS, EXACT, EXTREMES, GATEWAY, LIST, REFUSED, attempt, citizen, hash_of, nobody, plant, refused, tell

MARKS = ", ".join(["%s"] * len(COLUMNS))
INSERT = f"INSERT INTO citizen ({LIST}) VALUES ({MARKS}) RETURNING citizen_id"


def connect(**more):
    return psycopg.connect("options='-c timezone=UTC'", autocommit=True, **more)


def rows(conn):
    for number, binary in ((1, False), (2, True)):
        text = INSERT.replace("%s", "%b" if binary else "%t")
        cur = conn.cursor(binary=binary)
        tell("insert one", cur.execute(text, citizen(number)).fetchall())
        tell("insert nulls", cur.execute(text, nobody(10 + number)).fetchall())
        tell("fetch", cur.execute("SELECT * FROM citizen ORDER BY citizen_id").fetchall())
        tell("described", [(c.name, c.type_code, c.display_size, c.precision, c.scale) for c in cur.description])
    tell("extremes", conn.execute(INSERT, EXTREMES).fetchall())
    with conn.cursor() as cur:
        cur.executemany(INSERT, [citizen(number) for number in range(100, 400)], returning=True)
        ids = [cur.fetchone()]
        while cur.nextset():
            ids.append(cur.fetchone())
        tell("insert many", ids)


def lookups(conn):
    for mark in ("%t", "%b"):
        for name, at in EXACT.items():
            value = citizen(1)[at]
            tell("find =", name, conn.execute(f"SELECT citizen_id FROM citizen WHERE {name} = {mark} ORDER BY 1", (value,)).fetchall())
            values = [citizen(number)[at] for number in (1, 2, 101)]
            tell("find IN", name, conn.execute(f"SELECT citizen_id FROM citizen WHERE {name} IN ({mark}, {mark}, {mark}) ORDER BY 1", values).fetchall())
            attempt("find ANY", name, run=lambda: conn.execute(f"SELECT citizen_id FROM citizen WHERE {name} = ANY({mark}) ORDER BY 1", (values,)).fetchall(), refusal=errors.FeatureNotSupported)
    inlined = ClientCursor(conn)
    tell("inlined", inlined.execute(f"SELECT {LIST} FROM citizen WHERE nickname = %s AND born = %s", ("nick1", citizen(1)[9])).fetchall())


def changes(conn):
    for number, kind in enumerate(("work", "stay", "work")):
        conn.execute("INSERT INTO permit VALUES (%s, %s, %s, %s)", (number, citizen(1 + number % 2)[0], kind, f"remark {number}"))
    tell("join", conn.execute("SELECT c.family_name, p.remark, p.kind FROM citizen c JOIN permit p ON p.citizen_number = c.national_number WHERE c.nickname IN (%s, %s) ORDER BY p.permit_id", ("nick1", "nick2")).fetchall())
    tell("update", conn.execute("UPDATE citizen SET income = %s, active = %s, score = score + 1 WHERE nickname = %s RETURNING income, active, score, family_name", (None, True, "nick1")).fetchall())
    upsert = "INSERT INTO citizen (national_number, family_name, nickname) VALUES (%s, %s, %s) ON CONFLICT (national_number) DO UPDATE SET family_name = EXCLUDED.family_name, nickname = EXCLUDED.nickname RETURNING family_name, nickname, age"
    tell("upsert", conn.execute(upsert, (citizen(2)[0], "Changed", "other")).fetchall())
    tell("upsert back", conn.execute(upsert, (citizen(2)[0], citizen(2)[1], "nick2")).fetchall())
    tell("delete", conn.execute("DELETE FROM citizen WHERE token IN (%s, %s) RETURNING citizen_id, token", [citizen(n)[12] for n in (110, 111)]).fetchall())
    tell("group", conn.execute("SELECT age, count(*) FROM citizen WHERE age IS NOT NULL GROUP BY age HAVING count(*) > 3").rowcount)


def transactions(conn):
    with conn.transaction(force_rollback=True):
        conn.execute("UPDATE citizen SET nickname = 'outer' WHERE nickname = 'nick1'")
        try:
            with conn.transaction():
                conn.execute("UPDATE citizen SET nickname = 'inner' WHERE nickname = 'outer'")
                conn.execute(INSERT, citizen(2))
        except errors.UniqueViolation as error:
            tell("unique", error.sqlstate, error.diag.constraint_name, error.diag.table_name)
        tell("savepoint", conn.execute("SELECT nickname FROM citizen WHERE national_number = %s", (citizen(1)[0],)).fetchall())
    tell("rollback", conn.execute("SELECT nickname FROM citizen WHERE national_number = %s", (citizen(1)[0],)).fetchall())
    if GATEWAY:
        try:
            conn.execute(REFUSED)
        except errors.FeatureNotSupported as error:
            refused(error.sqlstate, error.diag.message_hint)
    tell("goes on", conn.execute("SELECT family_name FROM citizen WHERE age = 1 ORDER BY citizen_id").fetchall())


def prepared(conn):
    for number in range(8):
        tell("prepared", conn.execute("SELECT family_name, signed_at FROM citizen WHERE token = %s", (citizen(1 + number % 2)[12],), prepare=True).fetchall())


def pipelines(conn):
    with conn.pipeline() as pipeline:
        found = [conn.execute("SELECT family_name FROM citizen WHERE nickname = %s", (f"nick{number}",)) for number in (1, 2, 100)]
        pipeline.sync()
        tell("pipeline", [cur.fetchall() for cur in found])


def streams(conn):
    with conn.cursor() as cur:
        with cur.copy("COPY permit FROM STDIN") as copy:
            for number in range(1000, 6000):
                copy.write_row((number, None if number % 7 == 0 else citizen(1)[0], "copy", f"remark\t{number}\\"))
        tell("copy in", conn.execute("SELECT count(*), count(citizen_number) FROM permit WHERE kind = 'copy'").fetchall())
        streamed = list(cur.stream("SELECT permit_id, citizen_number, remark FROM permit WHERE kind = 'copy' ORDER BY permit_id"))
        tell("stream", len(streamed), streamed[0], streamed[-1], hash_of(streamed))
    with conn.cursor() as cur, cur.copy("COPY permit (permit_id, citizen_number, remark) TO STDOUT") as copy:
        told = sorted(copy.rows(), key=lambda row: int(row[0]))
        tell("copy out", len(told), told[-1], hash_of(told))
    attempt("cursor", run=lambda: by_server(conn), refusal=errors.FeatureNotSupported)


def by_server(conn):
    with conn.transaction(), conn.cursor(name="by_server") as cur:
        cur.itersize = 500
        cur.execute("SELECT permit_id, remark FROM permit WHERE kind = %s ORDER BY permit_id", ("copy",))
        return cur.fetchmany(3), hash_of(list(cur))


def concurrent():
    def one(number):
        with connect() as conn:
            conn.execute(INSERT, citizen(number))
            for round in range(5):
                conn.execute("UPDATE citizen SET account = %s WHERE national_number = %s", (number * round, citizen(number)[0]))
                found = conn.execute("SELECT nickname, account FROM citizen WHERE token = %s", (citizen(number)[12],)).fetchall()
                results[number].append(found)

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
    except psycopg.OperationalError as error:
        tell("wrong password", "password authentication failed" in str(error))


with connect() as connection:
    for part in (rows, lookups, changes, transactions, prepared, pipelines, streams):
        part(connection)
    plant(lambda text, values: connection.execute(text, values).fetchall())
concurrent()
wrong_password()
tell("done")
