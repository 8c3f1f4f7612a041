import { createDraw } from "../simulation/draw.ts";
import { createCorpus } from "./corpus.ts";
import { readyRequest, type FuzzRequest } from "./fuzz-request.ts";
import { createJudge, type FuzzAnswer } from "./judge-answer.ts";
import { makeRequest, type Ingredients } from "./make-request.ts";
import { shrinkRequest } from "./shrink-request.ts";
import type { Target } from "./target.ts";

export interface Found {
  readonly problem: string;
  /** The smallest one found; null: seen afterwards, of no one request. */
  readonly request: FuzzRequest | null;
}

export interface FuzzRun {
  readonly requests: number;
  readonly minted: number;
  readonly found: readonly Found[];
  /** How many answers had each status. */
  readonly statuses: ReadonlyMap<string, number>;
  /** How often each operation answered what: `POST /token denied`, `PUT /v1/policies 200`. */
  readonly outcomes: ReadonlyMap<string, number>;
}

export interface FuzzOptions {
  readonly requests: number;
  readonly seed: string;
  /** When to send no more, on a machine that is too slow for all of them. Default: never. */
  readonly withinMs?: number;
  /** Aborted: no more are sent. Default: never. */
  readonly stop?: AbortSignal;
}

/** More would say the same thing again. */
const FOUND_MAX = 10;

/** Sends so many requests to the target and judges each answer; then takes the last look. */
export async function runFuzz(target: Target, options: FuzzOptions): Promise<FuzzRun> {
  const { api, administrators, secrets } = target;
  const draw = createDraw(options.seed);
  const corpus = createCorpus(api, target.examples, draw.whole(0, 2 ** 31 - 1));
  const ingredients: Ingredients = { ...target, corpus };
  const judge = createJudge({ api, administrators, secrets });
  const count = new Count();
  const tried = async (request: FuzzRequest) => {
    const ready = readyRequest(request, target.places);
    const answer = await target.send(ready);
    if (answer.kind === "answered" && answer.status < 300) target.acknowledged(ready);
    return { answer, ...judge(request, answer) };
  };
  const endMs = performance.now() + (options.withinMs ?? Number.POSITIVE_INFINITY);
  const isOver = (): boolean =>
    count.sent >= options.requests ||
    count.found.length >= FOUND_MAX ||
    performance.now() > endMs ||
    options.stop?.aborted === true;
  const worker = async (): Promise<void> => {
    while (!isOver()) {
      count.sent++;
      const request = makeRequest(ingredients, draw);
      const { answer, problem, minted } = await tried(request);
      const operation = api.find(request.method, request.path.split(/[?#]/, 1)[0] ?? "");
      count.answered(answer, operation);
      count.minted += minted;
      if (problem === null) continue;
      if (count.found.some((one) => one.problem === problem)) continue;
      if (answer.kind === "hung") {
        // Each further try would take as long again.
        count.found.push({ problem, request });
        return;
      }
      const stillFails = async (one: FuzzRequest) => (await tried(one)).problem === problem;
      count.found.push({ problem, request: await shrinkRequest(request, stillFails) });
    }
  };
  await Promise.all(Array.from({ length: target.concurrency }, worker));
  const afterwards = await target.look();
  return {
    requests: count.sent,
    minted: count.minted,
    found: [...count.found, ...afterwards.map((problem) => ({ problem, request: null }))],
    statuses: count.statuses,
    outcomes: count.outcomes,
  };
}

class Count {
  readonly found: Found[] = [];
  readonly statuses = new Map<string, number>();
  readonly outcomes = new Map<string, number>();
  sent = 0;
  minted = 0;

  answered(
    answer: FuzzAnswer,
    operation: { readonly method: string; readonly path: string } | null,
  ): void {
    const isAnswered = answer.kind === "answered";
    const status = isAnswered ? String(answer.status) : answer.kind;
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    if (operation === null || !isAnswered) return;
    const code = answer.status < 300 ? status : /"code":"(\w+)"/.exec(answer.text)?.[1];
    const name = `${operation.method} ${operation.path} ${code ?? status}`;
    this.outcomes.set(name, (this.outcomes.get(name) ?? 0) + 1);
  }
}

/** As one run, of targets that came one after the other. */
export function together(runs: readonly FuzzRun[]): FuzzRun {
  const sum = (of: (run: FuzzRun) => ReadonlyMap<string, number>): Map<string, number> => {
    const all = new Map<string, number>();
    for (const [name, count] of runs.flatMap((run) => [...of(run)])) {
      all.set(name, (all.get(name) ?? 0) + count);
    }
    return all;
  };
  return {
    requests: runs.reduce((all, { requests }) => all + requests, 0),
    minted: runs.reduce((all, { minted }) => all + minted, 0),
    found: runs.flatMap(({ found }) => found),
    statuses: sum(({ statuses }) => statuses),
    outcomes: sum(({ outcomes }) => outcomes),
  };
}
