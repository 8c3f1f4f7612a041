import type { PolicyProblem, PolicySource } from "@mayfly/spec";
import { LIMITS } from "./limits.ts";

/** The text of one policy and where it stands. */
export interface PolicyText {
  readonly source: string;
  /** From its first token to its semicolon. */
  readonly text: string;
  /** Of its first token, from 1. */
  readonly line: number;
}

export interface SplitSource {
  readonly policies: readonly PolicyText[];
  readonly problems: readonly PolicyProblem[];
}

/** Cedar's lexical grammar, as far as it is needed to find ends and bounds. */
const TOKEN =
  /(?<blank>\s+|\/\/[^\n\r]*)|"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|\d+|&&|\|\||[=!<>]=|::|[^]/guy;
const OPERATORS = new Set("&& || == != <= >= < > ! + - * in has like is if when unless".split(" "));

interface Scan {
  start: number | null;
  line: number;
  nesting: number;
  deepest: number;
  operators: number;
  dots: number;
  longest: bigint;
}
const fresh = (): Scan => ({
  start: null,
  line: 1,
  nesting: 0,
  deepest: 0,
  operators: 0,
  dots: 0,
  longest: 0n,
});

/**
 * Cuts a source into its policies, each to be parsed by itself, so that a problem has a place; and
 * refuses what would be too deep for Cedar's parser before that parser sees it.
 */
export function splitSource(source: PolicySource): SplitSource {
  const policies: PolicyText[] = [];
  const problems: PolicyProblem[] = [];
  const report = (line: number, message: string): void => {
    problems.push({ source: source.name, policyId: null, message, line });
  };
  let scan = fresh();
  let line = 1;
  for (const match of source.text.matchAll(TOKEN)) {
    const token = match[0];
    if (match.groups?.["blank"] === undefined) {
      if (token === '"') {
        report(line, "A string does not end on its line: close it with a double quote.");
        return { policies, problems };
      }
      scan = scan.start === null ? { ...scan, start: match.index, line } : scan;
      count(scan, token);
      if (token === ";" && scan.start !== null) {
        const text = source.text.slice(scan.start, match.index + 1);
        const excess = excessOf(scan, text);
        if (excess === null) policies.push({ source: source.name, text, line: scan.line });
        else report(scan.line, excess);
        scan = fresh();
      }
    }
    line += newlines(token);
  }
  if (scan.start !== null) report(scan.line, "The last policy does not end: add a semicolon.");
  return { policies, problems };
}

function count(scan: Scan, token: string): void {
  if ("([{".includes(token)) scan.nesting += 1;
  if (")]}".includes(token)) scan.nesting -= 1;
  scan.deepest = Math.max(scan.deepest, scan.nesting);
  if (OPERATORS.has(token)) scan.operators += 1;
  if (token === ".") scan.dots += 1;
  // A longer literal is refused by Cedar itself; this keeps the conversion cheap.
  if (/^\d{1,40}$/u.test(token) && BigInt(token) > scan.longest) scan.longest = BigInt(token);
}

function excessOf(scan: Scan, text: string): string | null {
  const { nesting, operators, dots, policyBytes } = LIMITS;
  const split = 'split it into several policies, or use sets: ["a", "b"].contains(…).';
  if (Buffer.byteLength(text) > policyBytes) {
    return `The policy is larger than ${policyBytes} bytes: ${split}`;
  }
  if (scan.deepest > nesting) return `The policy nests deeper than ${nesting} brackets: ${split}`;
  if (scan.operators > operators)
    return `The policy has more than ${operators} operators: ${split}`;
  if (scan.dots > dots) return `The policy reads more than ${dots} members: ${split}`;
  if (scan.longest > BigInt(Number.MAX_SAFE_INTEGER)) {
    return `The policy holds a number above ${Number.MAX_SAFE_INTEGER}: write a smaller one.`;
  }
  return null;
}

export const newlines = (text: string): number => text.split("\n").length - 1;
