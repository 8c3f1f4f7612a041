import { decodeJwt } from "jose";
import { interleave, median } from "./interleave.ts";
import { startBenchInstallation, type BenchInstallation } from "./bench-installation.ts";
import type { BenchRow, RowResult } from "./bench-row.ts";
import type { BenchWorld } from "./bench-world.ts";
import { brokersProfile } from "./brokers-profile.ts";
import { driveLoad, troubles } from "./drive-load.ts";
import type { LoadResult } from "./load-job.ts";
import { startOidcProvider } from "./oidc-provider.ts";

const WANTED = 1.1;
const CLIENTS = 32;
const RATE_MAX = 5000;

/** A task opened durably, without a credential, and its token, against one that nobody stores. */
export const TOKEN_ONLY: BenchRow = {
  name: "token-only",
  title: `a task and its token, durable, c=${CLIENTS}, against oidc-provider with nothing stored`,
  target: { ratio: WANTED, is: "at_least" },
  run: tokenOnly,
};

async function tokenOnly(world: BenchWorld): Promise<RowResult> {
  await using mayfly = await startBenchInstallation(world);
  await using rival = await startOidcProvider();
  const broken: string[] = [];
  let opened = 0;
  const ours = async (round: number): Promise<LoadResult> => {
    const result = await driveTasks(world, mayfly);
    opened += result.okInAll;
    broken.push(...troubles(result), ...(await checkTokens(mayfly, result.sampleTokens)));
    world.say(`round ${round + 1}: ${result.perSecond.toFixed(0)} tasks/s`);
    return result;
  };
  const theirs = async (round: number): Promise<LoadResult> => {
    const result = await driveLoad({
      url: rival.url,
      flow: "oidc-provider",
      trust: mayfly.trust,
      clients: CLIENTS,
      seconds: world.seconds,
      role: null,
      rateMax: RATE_MAX,
    });
    broken.push(...troubles(result), ...(await rival.check(result.sampleTokens)));
    world.say(`round ${round + 1}: ${result.perSecond.toFixed(0)} tokens/s by oidc-provider`);
    return result;
  };
  const { ratio, spread, ...measured } = await interleave(
    world.rounds,
    ours,
    theirs,
    (a, b) => a.perSecond / b.perSecond,
  );
  const [tasks] = await mayfly.ledger<{ n: number }[]>`
    SELECT count(*)::int AS n FROM mayfly.tasks WHERE state = 'active'`;
  if (tasks?.n !== opened) broken.push(`${opened} replies, and ${tasks?.n ?? 0} tasks`);
  const profile =
    ratio < WANTED ? await brokersProfile(world, {}, (all) => driveTasks(world, all)) : [];
  return {
    ratio,
    spread,
    facts: [
      `tasks/s: ${rateOf(measured.ours)}`,
      `tokens/s by oidc-provider, client credentials by a secret: ${rateOf(measured.theirs)}`,
      `${opened} tasks, each of a subject and a token of its own that was verified, each with its ` +
        "row and its events in the ledger",
      ...profile,
    ],
    broken,
  };
}

const driveTasks = (world: BenchWorld, { api, trust }: BenchInstallation): Promise<LoadResult> =>
  driveLoad({
    url: api.url,
    trust,
    clients: CLIENTS,
    seconds: world.seconds,
    role: null,
    rateMax: RATE_MAX,
  });

const rateOf = (sides: readonly LoadResult[]): string =>
  `${median(sides.map((one) => one.perSecond)).toFixed(0)}, p50 ` +
  `${median(sides.map(({ latencyMs }) => latencyMs.p50)).toFixed(1)} ms, p99 ` +
  `${median(sides.map(({ latencyMs }) => latencyMs.p99)).toFixed(1)} ms`;

/** Uses each: a heartbeat of its task. */
async function checkTokens(
  { api }: BenchInstallation,
  tokens: readonly string[],
): Promise<readonly string[]> {
  const broken: string[] = tokens.length === 0 ? ["no reply had a token"] : [];
  for (const token of tokens) {
    const { task } = decodeJwt(token);
    const { status } = await api.call(token, "POST", `/v1/tasks/${String(task)}/heartbeat`, {});
    if (status !== 200) broken.push(`a task token is answered ${status}`);
  }
  return broken;
}
