import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { storeBootstrapTokenSha256 } from "./bootstrap-token.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";
import {
  verifyExport,
  type ExportedLine,
  type ExportVerification,
  type KnownFacts,
} from "./verify-export.ts";

const { endTask, openTask } = ledgerFixtures;
const NOTHING_KNOWN: KnownFacts = { before: null, head: null, installation: null };

let ledger: TestLedger;
let auditor: Awaited<ReturnType<TestLedger["open"]>>;
let lines: readonly string[];
let entries: number;
beforeAll(async () => {
  ledger = await createTestLedger();
  auditor = await ledger.open("mayfly_auditor");
  for (let turn = 0; turn < 4; turn++) {
    const task = await openTask(ledger.ports);
    await endTask(ledger.ports, task.id);
  }
  await storeBootstrapTokenSha256(ledger.database.url, "0".repeat(64), "if_none");
  // What this ledger never writes, and has a place in its log all the same.
  await ledger.superuser.unsafe(`
    ALTER TABLE mayfly.events DROP CONSTRAINT events_ids_are_uuid7;
    INSERT INTO mayfly.events (id, kind, actor, data)
    VALUES (gen_random_uuid(), 'task.opened', '{"kind":"system","name":"nobody"}', '{}')`);
  await ledger.worker.sequencer.append(1000);
  lines = await exported(0, 1000);
  entries = lines.length - 1;
});
afterAll(() => ledger.close());

/** As the auditor, who has nothing but views. */
async function exported(from: number, limit: number): Promise<readonly string[]> {
  let text = "";
  for await (const page of (await auditor.exporter.open(from, limit)).pages()) text += page;
  return text.trimEnd().split("\n");
}

async function* asFile(texts: readonly string[], file = "log.ndjson") {
  for (const [at, text] of texts.entries()) {
    yield { file, line: at + 1, text, ended: true } satisfies ExportedLine;
  }
}
const verdict = (texts: readonly string[], known = NOTHING_KNOWN): Promise<ExportVerification> =>
  verifyExport(asFile(texts), known);
const changed = (at: number, change: (text: string) => string): readonly string[] => {
  const line = change(lines[at] ?? "");
  expect(line).not.toBe(lines[at]);
  return lines.with(at, line);
};
const otherHash = (text: string, member: string): string =>
  text.replace(new RegExp(`"${member}":"(.)`), (_, digit: string) => {
    return `"${member}":"${digit === "0" ? "1" : "0"}`;
  });

test("what was exported verifies without the ledger, to the same head, raw events included", async () => {
  const here = await ledger.worker.sequencer.verify(0);
  expect(here).toMatchObject({ ok: true, entries });
  expect(await verdict(lines)).toEqual({
    ok: true,
    installation: ledger.broker.installation.id,
    isInstallationVouched: true,
    from: 0,
    until: entries,
    beforeSha256: "0".repeat(64),
    headSha256: here.ok ? here.headSha256 : "",
    unvouched: 0,
  });
  expect(lines.filter((line) => line.includes('"raw":'))).toHaveLength(1);
});

test("ranges verify alone, in a row, and against hashes that were known before", async () => {
  const [first, second] = [await exported(0, 5), await exported(5, 1000)];
  const alone = await verdict(second);
  expect(alone).toMatchObject({ ok: true, from: 5, until: entries });
  expect(await verdict([...first, ...second])).toMatchObject({ ok: true, from: 0, until: entries });
  const end = await verdict(first);
  if (!end.ok || !alone.ok) throw new Error("not verified");
  expect(end.headSha256).toBe(alone.beforeSha256);
  const known = { ...NOTHING_KNOWN, before: end.headSha256, head: alone.headSha256 };
  expect(await verdict(second, known)).toMatchObject({ ok: true });
  expect(await verdict(second, { ...known, before: "0".repeat(64) })).toMatchObject({ ok: false });
  expect(await verdict(second, { ...known, head: "0".repeat(64) })).toMatchObject({ ok: false });
  expect(await exported(entries, 10)).toHaveLength(1);
  expect(await verdict(await exported(entries, 10))).toMatchObject({ ok: true, from: entries });
});

test("a range that was cut between two lines goes on in the next file", async () => {
  const cut = lines.slice(0, 4);
  expect(await verdict(cut)).toMatchObject({ ok: false, line: 4, logIndex: 3 });
  const rest = await exported(3, 1000);
  expect(await verdict([...cut, ...rest])).toMatchObject({ ok: true, from: 0, until: entries });
});

test("a header of a range that broke off is compared with the entries that others bring", async () => {
  const rest = await exported(3, 1000);
  for (const cut of [lines.slice(0, 4), lines.slice(0, 1)]) {
    const files = [...cut, ...(await exported(cut.length - 1, 1000))];
    expect(await verdict(files)).toMatchObject({ ok: true, until: entries });
    const found = await verdict(files.with(0, otherHash(files[0] ?? "", "head_hash")));
    expect(found).toMatchObject({ ok: false, line: 1, logIndex: entries - 1 });
    expect(found.ok ? "" : found.problem).toContain("in a range further down");
  }
  // What nobody has reached nobody can compare.
  const [short, shorter] = [await exported(3, 2), lines.slice(0, 4)];
  const unread = [otherHash(shorter[0] ?? "", "head_hash"), ...shorter.slice(1), ...short];
  expect(await verdict(unread)).toMatchObject({ ok: true, until: 5 });
  const first = [...lines.slice(0, 4), ...rest];
  const repeated = await verdict([first[0] ?? "", ...first]);
  expect(repeated).toMatchObject({ ok: false, line: 2 });
  expect(repeated.ok ? "" : repeated.problem).toContain("repeats the header before it");
});

test("beyond the end of the log there is nothing to export", async () => {
  await expect(exported(entries + 1, 10)).rejects.toThrow(`the log has ${entries} entries`);
});

describe("what was done to a file is found where it was done", () => {
  const ENTRY = 3;
  /** Three events for each task before it, and the header. */
  const TOKEN_LINE = 2 + 4 * 3;
  test.for<[string, () => readonly string[], number, string]>([
    ["a missing line", () => lines.toSpliced(ENTRY, 1), 4, "entry 2 is missing: this is entry 3"],
    ["several", () => lines.toSpliced(ENTRY, 3), 4, "entries 2 to 4 are missing"],
    ["the last one missing", () => lines.slice(0, -1), -1, "the files end here"],
    ["the header missing", () => lines.slice(1), 1, "the header is missing"],
    ["a repeated line", () => lines.toSpliced(ENTRY, 0, lines[2] ?? ""), 4, "entry 1 is there"],
    [
      "two lines that changed places",
      () => lines.with(ENTRY, lines[4] ?? "").with(4, lines[ENTRY] ?? ""),
      4,
      "lines 4 and 5 changed places: entry 2 comes after 3",
    ],
    ["another event", () => changed(1, (t) => t.replace("task.opened", "task.ended")), 2, "event"],
    ["another leaf", () => changed(ENTRY, (t) => otherHash(t, "leaf_hash")), 4, "`leaf_hash`"],
    ["another chain", () => changed(ENTRY, (t) => otherHash(t, "chain_hash")), 4, "`chain_hash`"],
    ["another id", () => changed(1, (t) => otherHash(t, "event_id")), 2, "`event_id`"],
    ["another raw text", () => changed(entries, (t) => t.replace("nobody", "admin")), -1, "event"],
    [
      "another id of a raw event",
      () => changed(entries, (t) => t.replace(/"event_id":"./, '"event_id":"0000')),
      -1,
      "event_id",
    ],
    ["a space", () => changed(ENTRY, (t) => t.replace(":", ": ")), 4, "as an export writes it"],
    [
      "a member given twice",
      () => changed(ENTRY, (t) => t.replace("{", '{"log_index":7,')),
      4,
      "as an export writes it",
    ],
    ["an unknown member", () => changed(ENTRY, (t) => t.replace("{", '{"a":1,')), 4, "unknown"],
    ["a line cut short", () => changed(ENTRY, (t) => t.slice(0, 60)), 4, "no JSON object"],
    ["another head", () => changed(0, (t) => otherHash(t, "head_hash")), 1, "`head_hash`"],
    [
      "another beginning",
      () => changed(0, (t) => otherHash(t, "before_hash")),
      1,
      "before entry 0",
    ],
    ["a range promised longer", () => changed(0, longer), -1, "the files end here"],
    ["another format", () => changed(0, (t) => t.replace('export":2', 'export":3')), 1, "version"],
    ["another salt", () => changed(ENTRY, (t) => otherHash(t, "salt")), 4, "event"],
    ["no salt", () => changed(ENTRY, (t) => t.replace(/,"salt":"[0-9a-f]+"/, "")), 4, "event"],
    [
      "an erasure that nothing tells of, by an id that is none",
      () => changed(ENTRY, (t) => t.replace(/,"event":/, ',"erased_by":"x","event":')),
      4,
      "unknown member",
    ],
    [
      "an instant that is none",
      () => changed(0, (t) => t.replace('_at":"2', '_at":"X')),
      1,
      "instant",
    ],
    [
      "a log that is shorter than its range",
      () => changed(0, (t) => t.replace(/"log_entries":\d+/, '"log_entries":1')),
      1,
      "`log_entries` was altered",
    ],
    [
      "another installation than the one in the log",
      () => changed(0, ofStrangers),
      TOKEN_LINE,
      "entry 12 is of another installation",
    ],
    ["nothing", () => [], 0, "it is no export"],
  ])("%s", async ([, tampered, line, says]) => {
    const files = tampered();
    const found = await verdict(files);
    expect(found).toMatchObject({ ok: false, line: line === -1 ? files.length : line });
    expect(found.ok ? "" : found.problem).toContain(says);
  });

  const ofStrangers = (text: string): string =>
    text.replace(/"installation":"[a-z2-7]{8}"/, '"installation":"stranger"');
  const longer = (text: string): string => text.replace(/"(until|log_entries)":(\d+)/g, '"$1":1$2');

  test("a last line without its line feed", async () => {
    async function* cut() {
      for await (const each of asFile(lines)) {
        yield { ...each, ended: each.line <= entries };
      }
    }
    const found = await verifyExport(cut(), NOTHING_KNOWN);
    expect(found).toMatchObject({ ok: false, line: entries + 1, logIndex: entries - 1 });
  });

  test("files of two installations, and files in the wrong order", async () => {
    const [first, second] = [await exported(0, 5), await exported(5, 1000)];
    const other = second.with(0, ofStrangers(second[0] ?? ""));
    const mixed = await verdict([...first, ...other]);
    expect(mixed.ok ? "" : mixed.problem).toContain("two installations");
    const swapped = await verdict([...second, ...first]);
    expect(swapped.ok ? "" : swapped.problem).toContain("is there already");
  });
});

test("what a header says of its log alone is compared with what is known, and with the one before", async () => {
  const first = await exported(0, 5);
  const { id } = ledger.broker.installation;
  expect(await verdict(first)).toMatchObject({ ok: true, isInstallationVouched: false });
  const known = await verdict(first, { ...NOTHING_KNOWN, installation: id });
  expect(known).toMatchObject({ ok: true, isInstallationVouched: true });
  const other = await verdict(first, { ...NOTHING_KNOWN, installation: "stranger" });
  expect(other).toMatchObject({ ok: false, line: 1 });
  const second = await exported(5, 1000);
  for (const member of ["log_entries", "schema_version"]) {
    const later = (first[0] ?? "").replace(new RegExp(`"${member}":`), `"${member}":9`);
    const found = await verdict([later, ...first.slice(1), ...second]);
    expect(found).toMatchObject({ ok: false, line: 7 });
    expect(found.ok ? "" : found.problem).toContain(`\`${member}\` is less`);
  }
});

test("an event that is gone from the ledger stops its export, which names the entry", async () => {
  const holed = await createTestLedger();
  await openTask(holed.ports);
  await holed.worker.sequencer.append(1000);
  await holed.superuser`DELETE FROM mayfly.events`;
  const range = await holed.broker.exporter.open(0, 10);
  const read = async (): Promise<void> => {
    for await (const page of range.pages()) expect(page).toContain("mayfly_ledger_export");
  };
  await expect(read()).rejects.toThrow("the event of entry 0 is missing");
  await holed.close();
});
