// node-postgres: unnamed and named statements, a pool, cursors, COPY streams.

import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import pg from "pg";
import Cursor from "pg-cursor";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";

import { CANARY, CONFIG, EXACT, GATEWAY, LIST, REFUSED, at, attempt, citizen, hashOf, nobody, places, refused, tell } from "./scenario.mjs";

const INSERT = `INSERT INTO citizen (${LIST}) VALUES (${places(16)}) RETURNING citizen_id`;
const pool = new pg.Pool({ ...CONFIG, max: 8 });
const rows = async (text, values) => (await pool.query(text, values)).rows;
const ids = async (text, values) => (await pool.query({ text, values, rowMode: "array" })).rows.flat();

async function writing() {
  tell("insert one", await rows(INSERT, citizen(1)), await rows(INSERT, citizen(2)));
  tell("insert nulls", await rows(INSERT, nobody(11)));
  const many = Array.from({ length: 200 }, (_, n) => citizen(100 + n));
  const text = `INSERT INTO citizen (${LIST}) VALUES ${many.map((_, n) => `(${places(16, n * 16 + 1)})`).join(", ")} RETURNING citizen_id`;
  tell("insert many", await ids(text, many.flat()));
  const all = await pool.query("SELECT * FROM citizen ORDER BY citizen_id");
  tell("described", all.fields.map((f) => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.format]));
  tell("fetch", all.rows.slice(0, 5), hashOf(all.rows));
}

async function lookups() {
  for (const name of EXACT) {
    const values = [1, 2, 101].map((number) => citizen(number)[at(name)]);
    const find = (condition) => `SELECT citizen_id FROM citizen WHERE ${name} ${condition} ORDER BY 1`;
    tell("find =", name, await ids(find("= $1"), values.slice(0, 1)));
    tell("find IN", name, await ids(find("IN ($1, $2, $3)"), values));
    await attempt("find ANY", [name], () => ids(find("= ANY($1)"), [values]));
  }
}

async function changes() {
  for (const [number, kind] of ["work", "stay", "work"].entries()) {
    await rows("INSERT INTO permit VALUES ($1, $2, $3, $4)", [number, citizen(1 + (number % 2))[0], kind, `remark ${number}`]);
  }
  tell("join", await rows("SELECT c.family_name, p.remark, p.kind FROM citizen c JOIN permit p ON p.citizen_number = c.national_number WHERE c.nickname IN ($1, $2) ORDER BY p.permit_id", ["nick1", "nick2"]));
  tell("update", await rows("UPDATE citizen SET income = $1, active = $2, score = score + 1 WHERE nickname = $3 RETURNING income, active, score, family_name", [null, true, "nick1"]));
  const upsert = "INSERT INTO citizen (national_number, family_name, nickname) VALUES ($1, $2, $3) ON CONFLICT (national_number) DO UPDATE SET family_name = EXCLUDED.family_name, nickname = EXCLUDED.nickname RETURNING family_name, nickname, age";
  tell("upsert", await rows(upsert, [citizen(2)[0], "Changed", "other"]));
  tell("delete", await rows("DELETE FROM citizen WHERE token = $1 RETURNING citizen_id, token", [citizen(110)[12]]));
  const several = await pool.query("SELECT 1 AS one; SELECT family_name FROM citizen WHERE nickname = 'nick1'; UPDATE citizen SET score = 3 WHERE age = 1");
  tell("several", several.map((result) => [result.command, result.rowCount, result.rows]));
}

async function transactions() {
  const client = await pool.connect();
  const nickname = async () => (await client.query("SELECT nickname FROM citizen WHERE national_number = $1", [citizen(1)[0]])).rows;
  await client.query("BEGIN");
  await client.query("UPDATE citizen SET nickname = 'outer' WHERE nickname = 'nick1'");
  await client.query("SAVEPOINT inside");
  await client.query(INSERT, citizen(2)).catch((error) => tell("unique", error.code, error.constraint, error.table));
  await client.query("ROLLBACK TO SAVEPOINT inside");
  tell("savepoint", await nickname());
  await client.query("ROLLBACK");
  tell("rollback", await nickname());
  if (GATEWAY) await client.query(REFUSED).catch((error) => refused(error.code, error.hint));
  tell("goes on", (await client.query("SELECT family_name FROM citizen WHERE age = $1 ORDER BY citizen_id", [1])).rows);
  const named = { name: "by token", text: "SELECT family_name, signed_at FROM citizen WHERE token = $1" };
  for (let number = 0; number < 6; number++) {
    tell("prepared", (await client.query({ ...named, values: [citizen(1 + (number % 2))[12]] })).rows);
  }
  // Binary results, as far as pg reads them.
  tell("binary", (await client.query({ text: "SELECT age, shoe_size, active FROM citizen WHERE nickname = $1", values: ["nick2"], binary: true })).rows);
  client.release();
}

async function streams() {
  const client = await pool.connect();
  const lines = Array.from({ length: 5000 }, (_, n) => n + 1000).map((n) => `${n}\t${n % 7 ? citizen(1)[0] : "\\N"}\tcopy\tremark ${n}\n`);
  await pipeline(Readable.from(lines), client.query(copyFrom("COPY permit FROM STDIN")));
  tell("copy in", (await client.query("SELECT count(*), count(citizen_number) FROM permit WHERE kind = 'copy'")).rows);
  const out = [];
  for await (const piece of client.query(copyTo("COPY permit (permit_id, citizen_number, remark) TO STDOUT"))) out.push(piece);
  tell("copy out", hashOf(Buffer.concat(out).toString().split("\n").sort()));
  const cursor = client.query(new Cursor("SELECT permit_id, citizen_number, remark FROM permit WHERE kind = $1 ORDER BY permit_id", ["copy"]));
  const streamed = [];
  for (let part = await cursor.read(700); part.length; part = await cursor.read(700)) streamed.push(...part);
  tell("stream", streamed.length, streamed[0], streamed.at(-1), hashOf(streamed));
  await attempt("cursor", [], async () => {
    await client.query("BEGIN");
    try {
      await client.query("DECLARE by_server CURSOR FOR SELECT permit_id, remark FROM permit ORDER BY permit_id");
      return (await client.query("FETCH 3 FROM by_server")).rows;
    } finally {
      await client.query("ROLLBACK");
    }
  });
  client.release();
}

async function concurrent() {
  const one = async (number) => {
    const found = [];
    await rows(INSERT, citizen(number));
    for (let round = 0; round < 5; round++) {
      await rows("UPDATE citizen SET account = $1 WHERE national_number = $2", [number * round, citizen(number)[0]]);
      found.push(await rows("SELECT nickname, account FROM citizen WHERE token = $1", [citizen(number)[12]]));
    }
    return found;
  };
  tell("concurrent", await Promise.all(Array.from({ length: 8 }, (_, n) => one(500 + n))));
}

async function plant() {
  const planted = await rows("INSERT INTO permit VALUES (900001, NULL, 'canary', $1) RETURNING remark", [CANARY]);
  tell("plant", planted[0].remark === CANARY);
}

async function wrongPassword() {
  const client = new pg.Client({ ...CONFIG, password: "wrong" });
  await client.connect().catch((error) => tell("wrong password", error.code));
}

for (const part of [writing, lookups, changes, transactions, streams, concurrent, plant, wrongPassword]) await part();
await pool.end();
tell("done");
