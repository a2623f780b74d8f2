"""asyncpg: binary only, statements prepared by name behind the scenes, its own reading of types from the catalogue."""

import asyncio
import os
import ssl

import asyncpg

from scenario import CANARY, COLUMNS, EXACT, EXTREMES, GATEWAY, LIST, PLANT, REFUSED, attempt, citizen, hash_of, nobody, refused, tell

MARKS = ", ".join(f"${number}" for number in range(1, len(COLUMNS) + 1))
INSERT = f"INSERT INTO citizen ({LIST}) VALUES ({MARKS}) RETURNING citizen_id"


async def connect(**more):
    context = ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"])
    return await asyncpg.connect(ssl=context, server_settings={"timezone": "UTC"}, **more)


def told(records):
    return [tuple(record) for record in records]


async def rows(conn):
    tell("insert one", await conn.fetchval(INSERT, *citizen(1)), await conn.fetchval(INSERT, *citizen(2)))
    tell("insert nulls", await conn.fetchval(INSERT, *nobody(11)))
    tell("extremes", await conn.fetchval(INSERT, *EXTREMES))
    statement = await conn.prepare("SELECT * FROM citizen ORDER BY citizen_id")
    tell("described", [(a.name, a.type.name, a.type.oid) for a in statement.get_attributes()])
    tell("fetch", told(await statement.fetch()))
    insert = await conn.prepare(INSERT)
    tell("parameters", [(p.name, p.oid) for p in insert.get_parameters()])
    await conn.executemany(INSERT, [citizen(number) for number in range(100, 250)])
    tell("insert many", told(await insert.fetchmany([citizen(number) for number in range(250, 400)])))


async def lookups(conn):
    for name, at in EXACT.items():
        values = [citizen(number)[at] for number in (1, 2, 101)]
        tell("find =", name, told(await conn.fetch(f"SELECT citizen_id FROM citizen WHERE {name} = $1 ORDER BY 1", values[0])))
        tell("find IN", name, told(await conn.fetch(f"SELECT citizen_id FROM citizen WHERE {name} IN ($1, $2, $3) ORDER BY 1", *values)))
        text = f"SELECT citizen_id FROM citizen WHERE {name} = ANY($1) ORDER BY 1"
        try:
            found = told(await conn.fetch(text, values))
            attempt("find ANY", name, run=lambda: found, refusal=())
        except (asyncpg.FeatureNotSupportedError, asyncpg.InsufficientPrivilegeError) as error:
            attempt("find ANY", name, run=fails(error), refusal=type(error))


def fails(error):
    def run():
        raise error

    return run


async def changes(conn):
    for number, kind in enumerate(("work", "stay", "work")):
        await conn.execute("INSERT INTO permit VALUES ($1, $2, $3, $4)", number, citizen(1 + number % 2)[0], kind, f"remark {number}")
    tell("join", told(await conn.fetch("SELECT c.family_name, p.remark, p.kind FROM citizen c JOIN permit p ON p.citizen_number = c.national_number WHERE c.nickname IN ($1, $2) ORDER BY p.permit_id", "nick1", "nick2")))
    tell("update", told(await conn.fetch("UPDATE citizen SET income = $1, active = $2, score = score + 1 WHERE nickname = $3 RETURNING income, active, score, family_name", None, True, "nick1")))
    upsert = "INSERT INTO citizen (national_number, family_name, nickname) VALUES ($1, $2, $3) ON CONFLICT (national_number) DO UPDATE SET family_name = EXCLUDED.family_name, nickname = EXCLUDED.nickname RETURNING family_name, nickname, age"
    tell("upsert", told(await conn.fetch(upsert, citizen(2)[0], "Changed", "other")))
    tell("delete", told(await conn.fetch("DELETE FROM citizen WHERE token = $1 RETURNING citizen_id, token", citizen(110)[12])), await conn.execute("DELETE FROM permit WHERE citizen_number = $1", 12))


async def transactions(conn):
    try:
        async with conn.transaction():
            await conn.execute("UPDATE citizen SET nickname = 'outer' WHERE nickname = 'nick1'")
            try:
                async with conn.transaction():
                    await conn.fetchval(INSERT, *citizen(2))
            except asyncpg.UniqueViolationError as error:
                tell("unique", error.sqlstate, error.constraint_name, error.table_name)
            tell("savepoint", await conn.fetchval("SELECT nickname FROM citizen WHERE national_number = $1", citizen(1)[0]))
            raise KeyError
    except KeyError:
        tell("rollback", await conn.fetchval("SELECT nickname FROM citizen WHERE national_number = $1", citizen(1)[0]))
    if GATEWAY:
        try:
            await conn.fetch(REFUSED)
        except asyncpg.FeatureNotSupportedError as error:
            refused(error.sqlstate, error.hint)
    tell("goes on", told(await conn.fetch("SELECT family_name FROM citizen WHERE age = 1 ORDER BY citizen_id")))
    statement = await conn.prepare("SELECT family_name, signed_at FROM citizen WHERE token = $1")
    tell("prepared", [told(await statement.fetch(citizen(1 + number % 2)[12])) for number in range(6)])


async def streams(conn):
    many = [(number, None if number % 7 == 0 else citizen(1)[0], "copy", f"remark\t{number}\\") for number in range(1000, 6000)]
    await conn.executemany("INSERT INTO permit VALUES ($1, $2, $3, $4)", many)
    async with conn.transaction():
        streamed = []
        async for record in conn.cursor("SELECT permit_id, citizen_number, remark FROM permit WHERE kind = $1 ORDER BY permit_id", "copy", prefetch=700):
            streamed.append(tuple(record))
        tell("stream", len(streamed), streamed[0], streamed[-1], hash_of(streamed))
        cursor = await conn.cursor("SELECT permit_id, remark FROM permit ORDER BY permit_id")
        tell("cursor", told(await cursor.fetch(3)), told(await cursor.fetch(2)))
    try:
        found = await moved(conn)
        attempt("move", run=lambda: found, refusal=())
    except asyncpg.FeatureNotSupportedError as error:
        attempt("move", run=fails(error), refusal=asyncpg.FeatureNotSupportedError)
    # asyncpg's own way in is COPY in binary.
    records = [(number, citizen(1)[0], "binary", f"b{number}") for number in range(6000, 6100)]
    try:
        said = await conn.copy_records_to_table("permit", records=records)
        attempt("copy in", run=lambda: said, refusal=())
    except asyncpg.FeatureNotSupportedError as error:
        attempt("copy in", run=fails(error), refusal=asyncpg.FeatureNotSupportedError)


async def moved(conn):
    """`forward` is SQL's MOVE on a cursor that the protocol opened."""
    async with conn.transaction():
        cursor = await conn.cursor("SELECT permit_id, remark FROM permit ORDER BY permit_id")
        return await cursor.forward(100), told(await cursor.fetch(2))


async def concurrent():
    async def one(number):
        conn, found = await connect(), []
        await conn.execute(INSERT, *citizen(number))
        for round in range(5):
            await conn.execute("UPDATE citizen SET account = $1 WHERE national_number = $2", number * round, citizen(number)[0])
            found.append(told(await conn.fetch("SELECT nickname, account FROM citizen WHERE token = $1", citizen(number)[12])))
        await conn.close()
        return found

    tell("concurrent", await asyncio.gather(*(one(number) for number in range(500, 508))))


async def main():
    conn = await connect()
    for part in (rows, lookups, changes, transactions, streams):
        await part(conn)
    found = await conn.fetch(PLANT.replace("%s", "$1", 1), CANARY)
    tell("plant", found[0][0] == CANARY)
    await conn.close()
    await concurrent()
    try:
        await connect(password="wrong")
    except asyncpg.InvalidPasswordError as error:
        tell("wrong password", error.sqlstate)
    tell("done")


asyncio.run(main())
