// Drizzle ORM over node-postgres: its query builder, relations, prepared statements, nested transactions and upserts.

import { and, asc, between, count, eq, exists, inArray, isNotNull, relations, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import * as as from "drizzle-orm/pg-core";
import pg from "pg";

import { CANARY, COLUMNS, CONFIG, EXACT, GATEWAY, REFUSED, at, attempt, citizen, hashOf, nobody, refused, tell } from "./scenario.mjs";

const people = as.pgTable("citizen", {
  citizen_id: as.integer().primaryKey().generatedByDefaultAsIdentity(),
  national_number: as.bigint({ mode: "bigint" }).notNull().unique(),
  family_name: as.text().notNull(),
  nickname: as.varchar({ length: 20 }),
  shoe_size: as.smallint(),
  age: as.integer(),
  account: as.bigint({ mode: "bigint" }),
  balance: as.numeric({ precision: 10, scale: 2 }),
  income: as.numeric({ precision: 10, scale: 2 }),
  active: as.boolean(),
  born: as.date({ mode: "string" }),
  last_seen: as.timestamp({ mode: "string" }),
  signed_at: as.timestamp({ withTimezone: true, mode: "date" }),
  token: as.uuid(),
  town: as.text(),
  score: as.integer(),
  tags: as.text().array(),
});
const permits = as.pgTable("permit", {
  permit_id: as.integer().primaryKey(),
  citizen_number: as.bigint({ mode: "bigint" }).references(() => people.national_number),
  kind: as.text().notNull(),
  remark: as.text(),
});
const peopleRelations = relations(people, ({ many }) => ({ permits: many(permits) }));
const permitsRelations = relations(permits, ({ one }) => ({
  citizen: one(people, { fields: [permits.citizen_number], references: [people.national_number] }),
}));

const pool = new pg.Pool({ ...CONFIG, max: 8 });
const db = drizzle({ client: pool, schema: { people, permits, peopleRelations, permitsRelations } });

// As Drizzle wants it: 64-bit integers are BigInt.
const values = (row) => {
  const named = Object.fromEntries(COLUMNS.map((name, n) => [name, row[n]]));
  const big = (value) => (value === null ? null : BigInt(value));
  return { ...named, national_number: big(named.national_number), account: big(named.account) };
};
const value = (number, name) => values(citizen(number))[name];

async function writing() {
  const id = { id: people.citizen_id };
  tell("insert one", await db.insert(people).values(values(citizen(1))).returning(id), await db.insert(people).values(values(citizen(2))).returning(id));
  tell("insert nulls", await db.insert(people).values(values(nobody(11))).returning());
  const many = Array.from({ length: 200 }, (_, n) => values(citizen(100 + n)));
  tell("insert many", await db.insert(people).values(many).returning(id));
  const all = await db.select().from(people).orderBy(asc(people.citizen_id));
  tell("fetch", all.slice(0, 5), hashOf(all));
}

async function lookups() {
  for (const name of EXACT) {
    const [column, wanted] = [people[name], [1, 2, 101].map((number) => value(number, name))];
    const find = (condition) => db.select({ id: people.citizen_id }).from(people).where(condition).orderBy(people.citizen_id);
    tell("find =", name, await find(eq(column, wanted[0])));
    tell("find IN", name, await find(inArray(column, wanted)));
  }
  const prepared = db.select().from(people).where(eq(people.token, sql.placeholder("token"))).prepare("by_token");
  for (let number = 0; number < 6; number++) tell("prepared", await prepared.execute({ token: value(1 + (number % 2), "token") }));
  tell("group", await db.select({ age: people.age, n: count() }).from(people).where(isNotNull(people.age)).groupBy(people.age).having(sql`count(*) > 2`).then((found) => found.sort((a, b) => a.age - b.age)));
  await attempt("between", [], () => db.select({ n: count() }).from(people).where(between(people.score, 3, 20)));
}

async function changes() {
  for (const [number, kind] of ["work", "stay", "work"].entries()) {
    await db.insert(permits).values({ permit_id: number, citizen_number: value(1 + (number % 2), "national_number"), kind, remark: `remark ${number}` });
  }
  tell("join", await db.select({ name: people.family_name, remark: permits.remark, kind: permits.kind }).from(people).innerJoin(permits, eq(permits.citizen_number, people.national_number)).where(inArray(people.nickname, ["nick1", "nick2"])).orderBy(permits.permit_id));
  const held = db.select({ one: sql`1` }).from(permits).where(and(eq(permits.citizen_number, people.national_number), eq(permits.kind, "stay")));
  tell("exists", await db.select({ name: people.family_name }).from(people).where(exists(held)));
  // One statement of its own: lateral joins and json_build_array over the columns.
  await attempt("relations", [], () => db.query.permits.findMany({ orderBy: asc(permits.permit_id), with: { citizen: { columns: { family_name: true } } } }));
  tell("update", await db.update(people).set({ income: null, active: true, score: sql`${people.score} + 1` }).where(eq(people.nickname, "nick1")).returning({ income: people.income, active: people.active, score: people.score, name: people.family_name }));
  const upsert = db.insert(people).values({ national_number: value(2, "national_number"), family_name: "Changed", nickname: "other" });
  tell("upsert", await upsert.onConflictDoUpdate({ target: people.national_number, set: { family_name: sql`excluded.family_name`, nickname: sql`excluded.nickname` } }).returning({ name: people.family_name, nickname: people.nickname, age: people.age }));
  tell("delete", await db.delete(people).where(eq(people.token, value(110, "token"))).returning({ id: people.citizen_id, token: people.token }));
}

async function transactions() {
  const nickname = (on) => on.select({ nickname: people.nickname }).from(people).where(eq(people.national_number, value(1, "national_number")));
  const rolledBack = async (outer) => {
    await outer.update(people).set({ nickname: "outer" }).where(eq(people.nickname, "nick1"));
    const inner = outer.transaction((inside) => inside.insert(people).values(values(citizen(2))));
    await inner.catch(({ cause }) => tell("unique", cause.code, cause.constraint, cause.table));
    tell("savepoint", await nickname(outer));
    outer.rollback();
  };
  await db.transaction(rolledBack).catch((error) => tell("rolled back", error.message));
  tell("rollback", await nickname(db));
  if (GATEWAY) await db.execute(sql.raw(REFUSED)).catch(({ cause }) => refused(cause.code, cause.hint));
  tell("goes on", await db.select({ name: people.family_name }).from(people).where(eq(people.age, 1)).orderBy(people.citizen_id));
}

async function concurrent() {
  const one = async (number) => {
    const found = [];
    await db.insert(people).values(values(citizen(number)));
    for (let round = 0; round < 5; round++) {
      await db.update(people).set({ account: BigInt(number * round) }).where(eq(people.national_number, value(number, "national_number")));
      found.push(await db.select({ nickname: people.nickname, account: people.account }).from(people).where(eq(people.token, value(number, "token"))));
    }
    return found;
  };
  tell("concurrent", await Promise.all(Array.from({ length: 8 }, (_, n) => one(500 + n))));
}

async function plant() {
  const [planted] = await db.insert(permits).values({ permit_id: 900001, kind: "canary", remark: CANARY }).returning();
  tell("plant", planted.remark === CANARY);
}

for (const part of [writing, lookups, changes, transactions, concurrent, plant]) await part();
await pool.end();
tell("done");
