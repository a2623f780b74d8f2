// What the node drivers share: the connection, the rows, and how results are told. A script runs twice, through the
// gateway and on a plain copy; what it tells must be equal, line by line, types too.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { inspect } from "node:util";

export const GATEWAY = process.env.DRIVER_SIDE === "gateway";
export const CONFIG = {
  host: process.env.PGHOST,
  port: Number(process.env.PGPORT),
  user: process.env.PGUSER,
  password: process.env.PGPASSWORD,
  database: process.env.PGDATABASE,
  ssl: { ca: readFileSync(process.env.PGSSLROOTCERT, "utf8"), rejectUnauthorized: true },
  options: "-c timezone=UTC",
};
// pg reads these too, and would check less than we ask for.
delete process.env.PGSSLMODE;
delete process.env.PGSSLROOTCERT;

export const COLUMNS = [
  "national_number", "family_name", "nickname", "shoe_size", "age", "account", "balance", "income", "active", "born",
  "last_seen", "signed_at", "token", "town", "score", "tags",
];
export const LIST = COLUMNS.join(", ");
// A value that nothing else holds: the test looks for it at the processor afterwards.
export const CANARY = process.env.DRIVER_CANARY;
export const REFUSED = "SELECT citizen_id FROM citizen ORDER BY family_name";

const day = (number) => `${1900 + (number % 120)}-02-28`;
export const uuid = (number) => `5f1c2a34-0000-4000-8000-${String(number).padStart(12, "0")}`;

// Each `number` gives its own values, as a node program would hold them.
export const citizen = (number) => [
  String(85000000000 + number), `Çelik-O'Brien ${number} 王`, `nick${number}`, 36 + (number % 12), number % 90,
  String(4611686018427387904n + BigInt(number)), `${number}.50`, "-12345678.90", number % 2 === 0, day(number),
  `2024-02-29 23:59:59.${String(number).padStart(6, "0")}`, new Date(Date.UTC(2024, 6, 1, 12, number)), uuid(number),
  "Gent", number, ["a", `b${number}`],
];
export const nobody = (number) => [String(85000000000 + number), "", ...Array(COLUMNS.length - 2).fill(null)];
export const EXACT = ["national_number", "nickname", "age", "balance", "born", "signed_at", "token"];
export const at = (name) => COLUMNS.indexOf(name);
export const places = (count, from = 1) => Array.from({ length: count }, (_, n) => `$${n + from}`).join(", ");

export const hashOf = (told) => createHash("sha256").update(show(told)).digest("hex");
const show = (value) => inspect(value, { depth: null, maxArrayLength: null, maxStringLength: null, breakLength: Infinity, compact: true });
export const tell = (step, ...values) => console.log([step, ...values.map(show)].join(" | "));

// A step that the gateway may still refuse; the test knows which may be.
export async function attempt(step, values, run) {
  let found;
  try {
    found = await run();
  } catch (error) {
    const code = error.code ?? error.cause?.code ?? error.meta?.code;
    if (!GATEWAY || code !== "0A000") throw error;
    console.log([step, ...values.map(show), "refused 0A000"].join(" | "));
    return;
  }
  tell(step, ...values, found);
}

export const refused = (code, hint) =>
  console.log(["gateway refuses", code, hint ? "with a hint" : "without a hint"].join(" | "));
