import type { Seed } from "./seeded-workspace.ts";

const CORE = "packages/core/src";
const statement = (rule: string, name: string, text: string): Seed => ({
  rules: [rule],
  path: `${CORE}/${name}.ts`,
  text,
});
const allowed = (path: string, text: string): Seed => ({ rules: [], path, text });
const lines = (count: number, line: string): string => `${line}\n`.repeat(count);

/**
 * A file for each rule that matters to this code, breaking it and no other; then the places where
 * an exception is meant, breaking none.
 */
export const LINT_SEEDS: readonly Seed[] = [
  statement(
    "typescript(no-floating-promises)",
    "floating",
    `export function f(g: () => Promise<void>): void {
  g();
}`,
  ),
  statement(
    "typescript(no-misused-promises)",
    "misused",
    `export const f = (g: () => Promise<void>): void => [1].forEach(async () => g());`,
  ),
  statement(
    "typescript(switch-exhaustiveness-check)",
    "inexhaustive",
    `export function f(state: "active" | "ended"): number {
  switch (state) {
    case "active":
      return 1;
  }
  return 2;
}`,
  ),
  statement(
    "typescript(only-throw-error)",
    "throws-text",
    `export const f = (): never => {
  throw "text";
};`,
  ),
  statement(
    "typescript(return-await)",
    "returns-in-try",
    `export async function f(g: () => Promise<number>): Promise<number> {
  try {
    return g();
  } catch {
    return 1;
  }
}`,
  ),
  statement(
    "typescript(no-explicit-any)",
    "any",
    `export type Anything = { readonly value: any };`,
  ),
  statement(
    "typescript(no-unsafe-assignment)",
    "unsafe-assignment",
    `export const f = (text: string): readonly string[] => {
  const value = JSON.parse(text);
  return [String(value)];
};`,
  ),
  statement(
    "typescript(no-unsafe-return)",
    "unsafe-return",
    `export const f = (text: string): string => JSON.parse(text);`,
  ),
  statement(
    "typescript(no-unsafe-member-access)",
    "unsafe-member",
    `export const f = (text: string): boolean => JSON.parse(text).ok === 1;`,
  ),
  statement(
    "typescript(no-unsafe-argument)",
    "unsafe-argument",
    `export const f = (g: (n: number) => void, text: string): void => g(JSON.parse(text));`,
  ),
  statement(
    "typescript(prefer-readonly)",
    "not-readonly",
    `export class Counter {
  private step = 2;
  next(n: number): number {
    return n + this.step;
  }
}`,
  ),
  statement(
    "typescript(no-non-null-assertion)",
    "non-null",
    `export const f = (n: number | null): number => n!;`,
  ),
  statement(
    "typescript(consistent-type-imports)",
    "type-import",
    `import { KeyObject } from "node:crypto";
export type Key = KeyObject;`,
  ),
  statement("import(no-default-export)", "default", "export default 1;"),
  statement("unicorn(filename-case)", "camelCase", "export const a = 1;"),
  statement("eslint(no-console)", "console", `export const f = (): void => console.log("x");`),
  statement("node(no-process-env)", "environment", `export const home = process.env["HOME"];`),
  statement("eslint(no-restricted-globals)", "fetch", `export const f = fetch;`),
  statement("eslint(no-restricted-globals)", "timer", `export const f = setTimeout;`),
  statement(
    "eslint(no-restricted-properties)",
    "date",
    `export const f = (): number => Date.now();`,
  ),
  statement(
    "eslint(no-restricted-properties)",
    "random-number",
    `export const f = (): number => Math.random();`,
  ),
  statement(
    "eslint(no-restricted-properties)",
    "global-this",
    `export const f = globalThis.setTimeout;`,
  ),
  statement(
    "eslint(no-restricted-imports)",
    "http",
    `import { request } from "node:http";
export const f = request;`,
  ),
  statement(
    "eslint(no-restricted-imports)",
    "random-bytes",
    `import { randomBytes } from "node:crypto";
export const f = randomBytes;`,
  ),
  statement(
    "eslint(max-lines-per-function)",
    "long-function",
    `export function f(n: number): number {\n${lines(71, "  n += 1;")}  return n;\n}`,
  ),
  statement(
    "eslint(max-lines)",
    "long-file",
    `${lines(400, "// A line of text.")}export const a = 1;`,
  ),
  {
    rules: ["vitest(no-disabled-tests)"],
    path: `${CORE}/disabled.test.ts`,
    text: `import { expect, test } from "vitest";
test.skip("is not run", () => {
  expect(1).toBe(1);
});`,
  },
  {
    rules: ["vitest(no-focused-tests)"],
    path: `${CORE}/focused.test.ts`,
    text: `import { expect, test } from "vitest";
test.only("is run alone", () => {
  expect(1).toBe(1);
});`,
  },

  allowed("packages/host/src/system-clock.ts", "export const now = (): number => Date.now();"),
  allowed(
    "packages/host/src/system-random.ts",
    `import { randomBytes } from "node:crypto";
export const bytes = (count: number): Uint8Array => randomBytes(count);`,
  ),
  allowed("packages/net/src/send.ts", "export const send = fetch;"),
  allowed("services/broker/src/config.ts", "export const env = process.env;"),
  allowed("packages/cli/src/print.ts", `export const f = (): void => console.log("x");`),
  allowed(
    `${CORE}/waits.test.ts`,
    `import { expect, test } from "vitest";
test("waits", async () => {
  await new Promise((resolve) => setTimeout(resolve, 1));
  expect(Date.now()).toBeGreaterThan(0);
});`,
  ),
];
