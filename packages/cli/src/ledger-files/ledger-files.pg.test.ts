import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createJsonLog, systemClock, systemRandom } from "@mayfly/host";
import { migrate, openLedger } from "@mayfly/postgres";
import { freshDatabase } from "@mayfly/testkit/vitest";
import { runAgainst, type Ran } from "../__fixtures__/run-against.ts";

const EVENTS = 1_234;

let folder: string;
let url: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-export-"));
  const database = await freshDatabase({ prefix: "export" });
  url = database.url;
  await migrate({ url, random: systemRandom });
  await addEvents(EVENTS);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function addEvents(count: number): Promise<void> {
  const sql = postgres(url, { max: 1 });
  await sql`
    INSERT INTO mayfly.events (kind, actor, data)
    SELECT 'policies.activated', '{"kind":"system","name":"test"}', jsonb_build_object('n', n)
    FROM generate_series(1, ${count}) AS n`;
  await sql.end({ timeout: 5 });
  const ledger = await openLedger({
    url,
    clock: systemClock,
    random: systemRandom,
    log: createJsonLog({ level: "silent", stream: { write: () => true }, clock: systemClock }),
    applicationName: "test",
  });
  for (let more = 1; more > 0;) more = await ledger.sequencer.append(1000);
  await ledger.close();
}

const mayfly = (line: string): Promise<Ran> =>
  runAgainst("http://127.0.0.1:1", line, {
    clock: systemClock,
    environment: { MAYFLY_DATABASE_URL: url },
  });
const offline = (line: string): Promise<Ran> =>
  runAgainst("http://127.0.0.1:1", line, { environment: {} });
const inFolder = (name: string): string => join(folder, name);

describe("mayfly ledger export", () => {
  test("writes a new file that only its owner reads, and ledger verify needs nothing else", async () => {
    const file = inFolder("all.ndjson");
    const exported = await mayfly(`ledger export --output ${file} --json`);
    expect(exported).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(exported.out)).toMatchObject({ from: 0, until: EVENTS });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await readFile(file, "utf8")).trimEnd().split("\n")).toHaveLength(EVENTS + 1);
    const verified = await offline(`ledger verify ${file} --json`);
    expect(verified.code).toBe(0);
    expect(JSON.parse(verified.out)).toMatchObject({ ok: true, from: 0, until: EVENTS });
    const again = await mayfly(`ledger export --output ${file}`);
    expect(again).toMatchObject({ code: 3 });
    expect(again.err).toContain("EEXIST");
  });

  test("goes on where an earlier one ended; the files verify in a row, and not out of order", async () => {
    const first = await mayfly("ledger export --limit 700");
    expect(first.err).toContain("go on with: mayfly ledger export --from 700");
    const second = await mayfly("ledger export --from 700");
    await writeFile(inFolder("1.ndjson"), first.out);
    await writeFile(inFolder("2.ndjson"), second.out);
    const [one, two] = [inFolder("1.ndjson"), inFolder("2.ndjson")];
    const both = await offline(`ledger verify ${one} ${two}`);
    expect(both.out).toContain("1,234 entries verified: 0 to 1233");
    const alone = await offline(`ledger verify ${two}`);
    expect(alone.err).toContain("compare it with --from-head");
    expect((await offline(`ledger verify ${two} ${one}`)).code).toBe(1);
    expect((await offline(`ledger verify ${two} --from-head ${"0".repeat(64)}`)).code).toBe(1);
  });

  test("names file and line of what was altered, and of a file that was cut", async () => {
    const { out } = await mayfly("ledger export");
    const altered = inFolder("altered.ndjson");
    await writeFile(altered, out.replace('"n":1000', '"n":1001'));
    const found = await offline(`ledger verify ${altered}`);
    expect(found.code).toBe(1);
    expect(found.out).toMatch(/altered\.ndjson:\d+ {2}the event of entry \d+ was altered/);
    const cut = inFolder("cut.ndjson");
    await writeFile(cut, out.slice(0, -100));
    expect((await offline(`ledger verify ${cut}`)).out).toContain(`cut.ndjson:${EVENTS + 1}`);
    const empty = inFolder("empty.ndjson");
    await writeFile(empty, "");
    const all = inFolder("again.ndjson");
    await writeFile(all, out);
    for (const files of [`${all} ${empty}`, `${empty} ${all}`, empty]) {
      const ran = await offline(`ledger verify ${files}`);
      expect(ran).toMatchObject({ code: 1 });
      expect(ran.out).toContain("empty.ndjson:1  the file is empty");
    }
    const binary = inFolder("binary.ndjson");
    await writeFile(binary, Buffer.from([0xff, 0xfe, 0x0a]));
    expect((await offline(`ledger verify ${binary}`)).out).toContain("no JSON object");
  });

  test("refuses what has no meaning, and says what to give instead", async () => {
    for (const [line, says] of [
      ["ledger export --from x", "--from takes"],
      ["ledger export --limit 0", "--limit takes"],
      ["ledger verify --from-head abc", "64 lowercase hex digits"],
      [`ledger verify --to-head ${"0".repeat(64)}`, "for exported files"],
      [`ledger verify ${inFolder("all.ndjson")} --from 3`, "say themselves where they begin"],
    ] as const) {
      const ran = await mayfly(line);
      expect(ran.code).toBe(2);
      expect(ran.err).toContain(says);
    }
    expect((await offline(`ledger verify ${inFolder("none.ndjson")}`)).err).toContain("ENOENT");
    expect((await mayfly(`ledger export --from ${EVENTS + 1}`)).err).toContain("has 1234 entries");
  });

  test("follows what comes until it is told to stop, and what it wrote verifies", async () => {
    const stop = new AbortController();
    const file = inFolder("followed.ndjson");
    const ran = runAgainst("http://127.0.0.1:1", `ledger export --follow --output ${file}`, {
      clock: systemClock,
      environment: { MAYFLY_DATABASE_URL: url },
      terminations: () => stop.signal,
    });
    const linesThere = async (): Promise<number> =>
      (await readFile(file, "utf8").catch(() => "")).split("\n").length - 1;
    await expect.poll(linesThere, { timeout: 20_000 }).toBeGreaterThan(EVENTS);
    const before = await linesThere();
    await addEvents(5);
    await expect.poll(linesThere, { timeout: 20_000 }).toBe(before + 6);
    stop.abort();
    const { code, err } = await ran;
    expect({ code, err }).toMatchObject({ code: 0 });
    expect(err).toContain(`go on with: mayfly ledger export --from ${EVENTS + 5}`);
    const verified = await offline(`ledger verify ${file} --json`);
    expect(JSON.parse(verified.out)).toMatchObject({ ok: true, from: 0, until: EVENTS + 5 });
    expect((await mayfly("ledger export --follow --limit 5")).code).toBe(2);
  });
});
