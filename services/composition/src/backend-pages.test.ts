import { readFileSync } from "node:fs";
import { FakeUpstream, createFakeBackend, createFakeClock } from "@mayfly/testkit";
import { expect, test } from "vitest";
import { backendsPage, withTables } from "./backend-pages.ts";
import { backendTimes, NO_TIMES, type BackendTimes } from "./backend-times.ts";
import { BACKEND_TYPES } from "./backend-types.ts";

const folder = new URL("../../../docs/backends/", import.meta.url);
const page = (name: string): string => readFileSync(new URL(name, folder), "utf8");
/** The formatter pads cells and rules; a row is what it says. */
const said = (text: string): string =>
  text
    .replaceAll(/ *\| */g, "|")
    .replaceAll(/-{3,}/g, "---")
    .replaceAll(/\n{2,}/g, "\n");

test.each(BACKEND_TYPES.map((type) => [type.type, type] as const))(
  "the page of %s has the tables that its schemas give, and says what revocation means",
  (name, type) => {
    const text = page(`${name}.md`);
    for (const part of ["config", "role"]) expect(text).toContain(`<!-- generated: ${part} -->`);
    expect(text).toMatch(/^\*\*Revocation\*\*: .{20}/m);
    expect(said(withTables(text, type))).toBe(said(text));
  },
);

/** Where there is no login to be allowed anything: their pages say so. */
const WITHOUT_AUTHORITY = ["jwt", "webhook", "static", "x509"];

test.each(BACKEND_TYPES.map((type) => [type.type, type] as const))(
  "the authority that %s shows whoever adds a backend is the one of its page, word for word",
  (name, { authority = [] }) => {
    expect(authority.length === 0).toBe(WITHOUT_AUTHORITY.includes(name));
    for (const { language, text } of authority) {
      expect(page(`${name}.md`)).toContain(`\`\`\`${language}\n${text}\`\`\`\n`);
    }
  },
);

const pages = new Map(BACKEND_TYPES.map(({ type }) => [type, page(`${type}.md`)]));

test("the page of all types is the generated one: run write-backend-pages.ts", () => {
  const times = backendTimes.parse(JSON.parse(page("times.json")));
  expect(said(backendsPage(BACKEND_TYPES, pages, times))).toBe(said(page("README.md")));
});

/** The rows of a table of the page, by its heading. */
function rowsUnder(heading: string, times: BackendTimes): readonly string[] {
  const [, after = ""] = said(backendsPage(BACKEND_TYPES, pages, times)).split(`|${heading}|`);
  const lines = after.split("\n").slice(2);
  return lines.slice(
    0,
    lines.findIndex((line) => !line.startsWith("|")),
  );
}
const MEASURED = {
  date: "2026-11-30",
  machine: "2 cores, Node 26",
  load: 0.3,
  version: "Server 1.2",
};
const TIMES = "type|mint p50|revoke to refused p50|p99|what revocation means|1,000 due at once";

test("a type that nobody measured says so, in every cell", () => {
  const rows = rowsUnder(TIMES, NO_TIMES);
  expect(rows).toHaveLength(BACKEND_TYPES.length);
  for (const row of rows) expect(row.match(/not measured/g)).toHaveLength(4);
});

test("a p99 of few rounds is called what it is, the slowest; a secret that lives on, never", () => {
  const refused = { p50_ms: 12.3, p99_ms: 80, max_ms: 1_234.5 };
  const one = { ...MEASURED, refused_by: "a login", mint_p50_ms: 4.04 };
  const rows = rowsUnder(TIMES, {
    types: {
      redis: { ...one, rounds: 100, refused },
      ssh: { ...one, rounds: 99, refused },
      static: { ...one, rounds: 40, refused: null },
    },
    crowds: {
      ssh: {
        ...MEASURED,
        leases: 1_000,
        sessions: 1_000,
        seconds: 9.87,
        outcome: "revoked",
        neighbour: { ends: 50, late_ms_max: 640 },
      },
    },
    downs: {},
  });
  const cells = (type: string): readonly string[] =>
    rows
      .find((row) => row.includes(`\`${type}\``))
      ?.split("|")
      .slice(2, -1) ?? [];
  expect(cells("redis").slice(0, 3)).toEqual(["4.0 ms", "12.3 ms", "80.0 ms"]);
  expect(cells("ssh").slice(0, 3)).toEqual(["4.0 ms", "12.3 ms", "1.23 s (slowest of 99)"]);
  expect(cells("ssh").at(-1)).toBe("revoked in 9.9 s");
  expect(cells("static").slice(0, 3)).toEqual(["4.0 ms", "never", "never"]);
  expect(cells("static").at(-1)).toBe("never");
});

test("the types whose server was down have a row of how late all others were, and no others", () => {
  const heading =
    "the server of|refuses: the others' ends late, p50|at most|hangs: p50|at most|ends|measured|load";
  expect(said(backendsPage(BACKEND_TYPES, pages, NO_TIMES))).not.toContain(heading);
  const { version: _, ...around } = MEASURED;
  const rows = rowsUnder(heading, {
    ...NO_TIMES,
    downs: {
      vault: {
        ...around,
        leases: 100,
        refuses: { ends: 600, late_p50_ms: 12.34, late_max_ms: 130 },
        hangs: { ends: 500, late_p50_ms: 11, late_max_ms: 1_240 },
      },
    },
  });
  expect(rows).toEqual([
    "|`vault`|12.3 ms|130.0 ms|11.0 ms|1.24 s|1100, of 100 leases each|2026-11-30|0.3|",
  ]);
});

test("a member has its value, default and meaning, and what is inside of it a row of its own", () => {
  const fake = {
    ...createFakeBackend({ upstream: new FakeUpstream({ clock: createFakeClock() }) }),
    configSchema: {
      type: "object",
      required: ["host"],
      properties: {
        host: { type: "string", description: "Where | it listens." },
        tls: { enum: ["on", "off"], default: "on" },
        key: { type: "string", writeOnly: true },
        slots: { type: "integer", minimum: 1, maximum: 4, default: 2 },
        standbys: {
          type: "array",
          default: [],
          items: { type: "object", properties: { port: { type: "integer" } } },
        },
        limits: { type: "object" },
      },
    },
  };
  const made = withTables("<!-- generated: config -->\nold\n<!-- end -->\nrest", fake);
  expect(made).not.toContain("old");
  expect(made.split("\n").filter((line) => line.startsWith("| `"))).toEqual([
    "| `host` | text | required | Where \\| it listens. |",
    "| `tls` | `on`, `off` | `on` |  |",
    "| `key` | text, secret |  |  |",
    "| `slots` | number, 1 to 4 | `2` |  |",
    "| `standbys` | list of object | none |  |",
    "| `standbys[].port` | number |  |  |",
  ]);
  expect(made).toContain("rest");
});
