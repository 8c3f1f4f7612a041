import { PassThrough } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { createPaint } from "../render/paint.ts";
import { terminalPrompts } from "./terminal-prompts.ts";
import type { Prompts } from "./prompts.ts";

const ESCAPE = "\u001b";
const DOWN = `${ESCAPE}[B`;

/** A terminal whose keys are typed here, and what stands on it. */
class FakeTerminal {
  readonly input = new PassThrough();
  readonly output = Object.assign(new PassThrough(), {
    columns: 80,
    rows: 24,
    // As a terminal's own: no prompt ends it.
    _isStdio: true,
  });
  readonly prompts: Prompts;
  #shown = "";
  readonly #watchers = new Set<() => void>();

  constructor(columns = 80) {
    this.output.columns = columns;
    this.output.on("data", (chunk: Buffer) => {
      this.#shown += chunk.toString();
      for (const look of this.#watchers) look();
    });
    const { input, output } = this;
    this.prompts = terminalPrompts({
      input,
      output,
      paint: createPaint(false),
      marksPastes: true,
    });
  }
  get shown(): string {
    return stripVTControlCharacters(this.#shown);
  }
  /** Resolves once a text stands there, for the so-manieth time. */
  shows(text: string, times = 1): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.shown.split(text).length <= times) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }
  type(keys: string): void {
    this.input.write(keys);
  }
}

const question = { path: "host", ask: "host", about: null };
const any = { ...question, standard: null, check: () => null };

describe("a text", () => {
  test("is asked for with what it means, checked at once, and asked for again where it is wrong", async () => {
    const terminal = new FakeTerminal();
    const answer = terminal.prompts.text({
      ...question,
      about: "Where the primary listens.",
      standard: null,
      check: (text) => (text.includes(" ") ? "expected a host name" : null),
    });
    await terminal.shows("? host");
    terminal.type("a b\r");
    await terminal.shows("expected a host name");
    terminal.type(`${"\u007f".repeat(3)}`);
    terminal.type("db\r");
    expect(await answer).toBe("db");
    expect(terminal.shown).toContain("Where the primary listens.\n");
  });

  test("that is left empty is the default, and empty where there is none", async () => {
    const terminal = new FakeTerminal();
    const port = terminal.prompts.text({ ...any, ask: "port", standard: "5432" });
    await terminal.shows("(5432)");
    terminal.type("\r");
    expect(await port).toBe("5432");
    const other = terminal.prompts.text({ ...any, ask: "other" });
    await terminal.shows("? other");
    terminal.type("\r");
    expect(await other).toBe("");
  });

  test("of several lines is not taken from a paste, and nothing of it stands anywhere", async () => {
    const terminal = new FakeTerminal();
    const answer = terminal.prompts.text(any);
    await terminal.shows("? host");
    terminal.type(`${ESCAPE}[200~first\nCANARY\n${ESCAPE}[201~`);
    await terminal.shows("several lines");
    terminal.type("db\r");
    expect(await answer).toBe("db");
    expect(terminal.shown).not.toContain("CANARY");
  });

  test.each([12, 20, 200])(
    "fits a terminal of %i columns, and one that is resized",
    async (columns) => {
      const terminal = new FakeTerminal(columns);
      const long = "host-".repeat(20);
      const answer = terminal.prompts.text({ ...any, about: "What it means. ".repeat(5) });
      await terminal.shows("? host");
      terminal.type(long.slice(0, 50));
      await terminal.shows("-");
      terminal.output.columns = columns * 2;
      terminal.output.emit("resize");
      terminal.type(`${long.slice(50)}\r`);
      expect(await answer).toBe(long);
    },
  );
});

test("what a member means is broken between words, at the width that the terminal has", async () => {
  const terminal = new FakeTerminal(24);
  const about = "The database that leases are for, and that agents are told.";
  const answer = terminal.prompts.confirm({ ...question, ask: "ok?", about, standard: true });
  await terminal.shows("? ok?");
  terminal.type("\r");
  await answer;
  expect(terminal.shown).toContain(
    "The database that leases\nare for, and that agents\nare told.\n",
  );
});

describe("a secret", () => {
  test("leaves no trace on the terminal, where it is refused neither", async () => {
    const terminal = new FakeTerminal();
    const answer = terminal.prompts.secret({
      ...question,
      check: (text) => (text.length < 8 ? "it is too short" : null),
    });
    await terminal.shows("? host");
    terminal.type("CANARY\r");
    await terminal.shows("it is too short");
    terminal.type("-CANARY-2\r");
    expect(await answer).toBe("CANARY-CANARY-2");
    expect(terminal.shown).not.toContain("CANARY");
  });
});

describe("a choice", () => {
  const choices = ["verify-full", "unsafe_disable"].map((name) => ({ name, about: null }));

  test("is the default until another one is gone to", async () => {
    const terminal = new FakeTerminal();
    const first = terminal.prompts.choose({ ...question, ask: "tls", choices, standard: 1 });
    await terminal.shows("? tls");
    terminal.type("\r");
    expect(await first).toBe(1);
    const second = terminal.prompts.choose({ ...question, ask: "again", choices, standard: 0 });
    await terminal.shows("? again");
    terminal.type(DOWN);
    terminal.type("\r");
    expect(await second).toBe(1);
  });

  test("of several may be none or all, in their order", async () => {
    const terminal = new FakeTerminal();
    const several = terminal.prompts.chooseSeveral({ ...question, ask: "also set?", choices });
    await terminal.shows("? also set?");
    for (const key of [DOWN, " ", `${ESCAPE}[A`, " ", "\r"]) terminal.type(key);
    expect(await several).toEqual([0, 1]);
    const none = terminal.prompts.chooseSeveral({ ...question, ask: "more?", choices });
    await terminal.shows("? more?");
    terminal.type("\r");
    expect(await none).toEqual([]);
  });

  test("between yes and no has a default", async () => {
    const terminal = new FakeTerminal();
    const yes = terminal.prompts.confirm({ ...question, ask: "add one?", standard: true });
    await terminal.shows("? add one?");
    terminal.type("\r");
    expect(await yes).toBe(true);
    const no = terminal.prompts.confirm({ ...question, ask: "another?", standard: true });
    await terminal.shows("? another?");
    terminal.type("n\r");
    expect(await no).toBe(false);
  });
});

describe("who asks no longer", () => {
  test("by Ctrl-C is told that nothing was changed", async () => {
    const terminal = new FakeTerminal();
    const answer = terminal.prompts.text(any);
    await terminal.shows("? host");
    terminal.type("half\u0003");
    await expect(answer).rejects.toMatchObject({
      parts: { exit: 130, what: "Interrupted. Nothing was changed." },
    });
  });

  test.each([
    ["Ctrl-D", (terminal: FakeTerminal): void => terminal.type("half\u0004")],
    [
      "a terminal that goes away",
      (terminal: FakeTerminal): void => {
        terminal.input.end("half");
      },
    ],
  ])("by %s is told that not all was answered", async (_name, end) => {
    const terminal = new FakeTerminal();
    const answer = terminal.prompts.secret({ ...question, check: () => null });
    await terminal.shows("? host");
    end(terminal);
    await expect(answer).rejects.toMatchObject({ parts: { exit: 2, code: "usage" } });
  });
});

test("what a broker says of a type moves no cursor", async () => {
  const terminal = new FakeTerminal();
  const about = `clear${ESCAPE}[2Jed`;
  const answer = terminal.prompts.choose({
    path: "a",
    ask: `a${ESCAPE}[1m`,
    about,
    choices: [{ name: `x${ESCAPE}[2J`, about }],
    standard: 0,
  });
  await terminal.shows("? a");
  terminal.type("\r");
  expect(await answer).toBe(0);
  expect(terminal.shown).toContain("clear\ufffd[2Jed");
});
