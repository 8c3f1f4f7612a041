import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { damagedText } from "./damaged-text.ts";
import { throwingParser, type FuzzedParser } from "./fuzzed-parser.ts";
import { grownText, repeated, type Shape } from "./grown-text.ts";
import { PARSERS } from "./parsers.ts";
import { runParser } from "./run-parser.ts";

/** `npm run fuzz:parsers` gives each a million. */
const INPUTS = 2000;

interface FixtureRun {
  readonly stdout: string;
  readonly stderr: string;
  /** That ended it, or null. */
  readonly signal: NodeJS.Signals | null;
}

/** A program of its own process: what it does ends that, and not this one. */
async function runFixture(name: string): Promise<FixtureRun> {
  const program = new URL(`__fixtures__/${name}`, import.meta.url).pathname;
  const run = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => {
    run.once("exit", (_code, by) => resolve(by));
  });
  const [stdout, stderr, signal] = await Promise.all([text(run.stdout), text(run.stderr), ended]);
  return { stdout, stderr, signal };
}

const planted = (of: {
  readonly parse?: (text: string) => string;
  readonly again?: (text: string) => void;
  readonly limit?: number;
  readonly shapes?: readonly Shape[];
}): FuzzedParser =>
  throwingParser({
    name: "planted",
    sound: ["abc"],
    limit: of.limit ?? 64,
    shapes: of.shapes ?? [],
    parse: of.parse ?? ((text) => text),
    isOwn: (error) => error instanceof RangeError,
    again: of.again ?? (() => undefined),
  });

describe("parsers that meet strangers' bytes", () => {
  test.each(PARSERS.map((parser) => [parser.name, parser] as const))(
    "%s throws only its own error, and what it accepts encodes to the same again",
    async (_name, parser) => {
      const seed = new Date().toISOString();
      const run = await runParser(parser, INPUTS, seed);
      expect(run.found, `seed ${seed}`).toBe(null);
      expect(run.inputs).toBe(INPUTS);
      // Some inputs are sound and some are not, or nothing is tested.
      expect(run.accepted, `seed ${seed}`).toBeGreaterThan(INPUTS / 100);
      expect(run.accepted, `seed ${seed}`).toBeLessThan(INPUTS);
    },
  );

  test("are all that the broker has", () => {
    const names = PARSERS.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining([
        "form",
        "jwt_header",
        "jwt_payload",
        "spiffe_id",
        "x509_san",
        "x509_key_usage",
        "jwks",
        "bundle",
        "dpop_proof",
        "descriptor",
        "authorization_details",
      ]),
    );
    expect(new Set(names).size).toBe(names.length);
  });

  test("get the same inputs from the same seed, large ones too", () => {
    const grown = grownText({ sound: ["abc"], limit: 100, shapes: [repeated("x", "y", "z")] });
    const sample = (): readonly string[] =>
      [damagedText(["abc"]), grown].flatMap((of) => fc.sample(of, { seed: 7, numRuns: 50 }));
    expect(sample()).toEqual(sample());
  });

  test("get no more after the slice in which they were told to stop", async () => {
    const stop = new AbortController();
    setImmediate(() => stop.abort());
    expect(await runParser(planted({}), 20_000, "1", { stop: stop.signal })).toMatchObject({
      inputs: 5_000,
      found: null,
    });
  });

  test("get inputs up to their limit and just above it", () => {
    const grown = grownText({ sound: ["abc"], limit: 1000, shapes: [repeated("x", "y", "z")] });
    const sizes = new Set(fc.sample(grown, { seed: 7, numRuns: 500 }).map(({ length }) => length));
    for (const size of [999, 1000, 1001]) expect(sizes).toContain(size);
    expect(Math.max(...sizes)).toBe(1001);
  });
});

test("JSON that is nested 20,000 deep and is none is refused 300 times, and Node goes on", async () => {
  const { stdout, stderr, signal } = await runFixture("deep.ts");
  expect(signal, stderr).toBe(null);
  expect(stdout).toBe("300 refused\n");
});

describe("a parser would be found out", () => {
  test("by an error of another kind, and by a second meaning", async () => {
    const throws = planted({
      parse: (text) => {
        if (text.includes("{")) throw new TypeError("planted");
        return text;
      },
    });
    expect((await runParser(throws, 5000, "1")).found).toContain("not its own error");
    const trims = planted({ parse: (text) => text.trim() });
    expect((await runParser(trims, 500, "1")).found).toBe(null);
    const differs = planted({
      again: (text) => {
        if (text.trim() !== text) throw new Error("encodes to another");
      },
    });
    expect((await runParser(differs, 5000, "1")).found).toContain("encodes to another");
  });

  test("by time that grows with the square of its input, which small inputs do not show", async () => {
    const spaces = repeated("", " ", "x");
    const trims = (limit: number): FuzzedParser =>
      planted({ limit, shapes: [spaces], parse: (text) => text.replace(/\s+$/, "") });
    expect((await runParser(trims(64), 500, "1")).found).toBe(null);
    expect((await runParser(trims(32 * 1024), 500, "1")).found).toMatch(
      /planted took \d+ ms of CPU .* for \d{5} characters/,
    );
  });

  test("by memory that one input takes", async () => {
    const expands = planted({
      limit: 1024,
      parse: (text) => (text.length < 1000 ? text : String(new Float64Array(1e7).length)),
    });
    expect((await runParser(expands, 500, "1")).found).toMatch(
      /planted took \d+ ms of CPU and 7\d\.\d MiB for 1\d{3} characters/,
    );
  });

  test("by memory that it keeps of each", async () => {
    const kept: string[][] = [];
    const keeps = planted({
      parse: (text) => {
        kept.push(Array.from({ length: 8192 }, () => text));
        return text;
      },
    });
    expect((await runParser(keeps, 2000, "1")).found).toContain("still held");
  });

  test("by an input that does not end: it is told, and the run is over", async () => {
    const { stderr, signal } = await runFixture("endless.ts");
    expect(stderr).toContain('FOUND: planted: input 2 does not end: "aaaa');
    expect(signal).toBe("SIGKILL");
  });
});
