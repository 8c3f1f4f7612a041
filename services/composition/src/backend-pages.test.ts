import { readFileSync } from "node:fs";
import { FakeUpstream, createFakeBackend, createFakeClock } from "@mayfly/testkit";
import { expect, test } from "vitest";
import { backendsPage, withTables } from "./backend-pages.ts";
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

test("the page of all types is the generated one: run write-backend-pages.ts", () => {
  const pages = new Map(BACKEND_TYPES.map(({ type }) => [type, page(`${type}.md`)]));
  expect(said(backendsPage(BACKEND_TYPES, pages))).toBe(said(page("README.md")));
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
