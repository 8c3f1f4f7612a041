import { randomBytes } from "node:crypto";
import type { BenchRow, RowResult } from "./bench-row.ts";
import type { BenchWorld } from "./bench-world.ts";
import { openCpuProfile } from "./cpu-profile.ts";
import { openHttpClient } from "./http-client.ts";
import { startHttpServer, type HttpServer } from "./http-shell-server.ts";
import { interleave, median } from "./interleave.ts";
import { cpuSecondsOf } from "./process-use.ts";

const WANTED = 0.5;
const CLIENTS = 32;
const FUNCTIONS = 12;
const BODY_BYTES = 600;
const BODIES = 1000;
const HEADERS = "content-type: application/x-www-form-urlencoded\r\n";

/** What stands around every route, against the same work on Node alone. */
export const HTTP_SHELL: BenchRow = {
  name: "http-shell",
  title:
    `the broker's HTTP server over a route that reads a form of ${BODY_BYTES} bytes, c=${CLIENTS}, ` +
    "against raw node:http",
  target: { ratio: WANTED, is: "at_least" },
  run: httpShell,
};

async function httpShell(world: BenchWorld): Promise<RowResult> {
  await using ours = await startHttpServer("mayfly");
  await using theirs = await startHttpServer("raw");
  await drive(ours, 1);
  await drive(theirs, 1);
  const broken: string[] = [];
  const measure = async (server: HttpServer): Promise<Driven> => {
    const driven = await drive(server, world.seconds);
    if (driven.failed > 0) broken.push(`${driven.failed} requests failed`);
    return driven;
  };
  const measured = await interleave(
    world.rounds,
    () => measure(ours),
    () => measure(theirs),
    (a, b) => a.perSecond / b.perSecond,
  );
  const rates = (sides: readonly Driven[]): string =>
    `${median(sides.map((one) => one.perSecond)).toFixed(0)}/s, ` +
    `${median(sides.map((one) => one.perCpuSecond)).toFixed(0)} in a second of its CPU`;
  const profile = measured.ratio < WANTED ? await shellsProfile(world) : [];
  return {
    ratio: measured.ratio,
    spread: measured.spread,
    facts: [
      `the broker's, with places, trace ids and its own refusals, its log at "warn": ` +
        rates(measured.ours),
      `raw node:http: ${rates(measured.theirs)}`,
      ...profile.map((line) => `the broker's main thread: ${line}`),
    ],
    broken,
  };
}

/** One round more, for who reads of a target that was missed. */
async function shellsProfile(world: BenchWorld): Promise<readonly string[]> {
  await using profile = await openCpuProfile();
  await (async () => {
    await using server = await startHttpServer("mayfly", profile.environment());
    await drive(server, world.seconds);
  })();
  return await profile.top(FUNCTIONS);
}

interface Driven {
  readonly failed: number;
  readonly perSecond: number;
  readonly perCpuSecond: number;
}

/** Each answer must say how long this request's token was. */
async function drive({ url, pid }: HttpServer, seconds: number): Promise<Driven> {
  const bodies = Array.from({ length: BODIES }, (_, n) => bodyOf(n));
  const client = openHttpClient(url, CLIENTS);
  let [done, failed] = [0, 0];
  const cpuFrom = await cpuSecondsOf(pid);
  const from = performance.now();
  const one = async (): Promise<void> => {
    while (performance.now() - from < seconds * 1000) {
      const { body, answer } = bodies[done % BODIES] ?? bodyOf(0);
      done++;
      const { status, text } = await client.request("POST", "/token", HEADERS, body);
      if (status !== 200 || text !== answer) failed++;
    }
  };
  // A generator that sleeps must be woken by each answer, which the server would pay for: and more
  // often the slower of the two.
  let isDriving = true;
  const stayAwake = (): void => {
    if (isDriving) setImmediate(stayAwake);
  };
  stayAwake();
  await Promise.all(Array.from({ length: CLIENTS }, one));
  isDriving = false;
  client.close();
  const cpuSeconds = (await cpuSecondsOf(pid)) - cpuFrom;
  return {
    failed,
    perSecond: (done * 1000) / (performance.now() - from),
    perCpuSecond: done / cpuSeconds,
  };
}

function bodyOf(n: number): { readonly body: string; readonly answer: string } {
  const grant =
    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=";
  const token = randomBytes(BODY_BYTES).toString("base64url");
  const left = token.slice(0, BODY_BYTES - grant.length - (n % 10));
  return { body: grant + left, answer: JSON.stringify({ length: left.length }) };
}
