import { cpuMs } from "./cpu-time.ts";
import type { BenchInstallation } from "./bench-installation.ts";
import type { LoadResult } from "./load-job.ts";
import { mintScript } from "./mint-script.ts";
import { pgbench } from "./pgbench.ts";
import { scramVerifierText } from "./scram-text.ts";

const VERIFIERS = 200;
const CLIENTS = 16;

interface Floor {
  readonly iterations: number;
  readonly seconds: number;
  readonly drive: (mayfly: BenchInstallation) => Promise<LoadResult>;
}

/**
 * What of an exchange's CPU is SCRAM's own, by measure: the verifier that the broker makes, so that
 * the password never goes to the server; and the same again in the server, which tries each
 * ready-made verifier with an empty password. pgbench sends one that was made before, so that what
 * the broker's costs bounds the row's ratio from above, whatever else an exchange costs.
 */
export async function scramFloor(
  mayfly: BenchInstallation,
  { iterations, seconds, drive }: Floor,
): Promise<readonly string[]> {
  const { broker, worker, server } = mayfly;
  const before = await cpuMs([broker.pid, worker.pid, server.pid]);
  const { okInAll } = await drive(mayfly);
  const exchange = ((await cpuMs([broker.pid, worker.pid, server.pid])) - before) / okInAll;
  const verifier = verifierMs(iterations);
  const withIt = await roleMs(mayfly, seconds, iterations);
  const without = await roleMs(mayfly, seconds, null);
  const stretched = withIt - without;
  const shareOf = (ms: number): string =>
    `${ms.toFixed(3)} ms (${((100 * ms) / exchange).toFixed(0)} %)`;
  return [
    `CPU of one exchange: ${exchange.toFixed(3)} ms (broker, worker and PostgreSQL), of which ` +
      `PBKDF2 for the verifier is ${shareOf(verifier)} in the broker`,
    `and ${shareOf(stretched)} in PostgreSQL: CREATE ROLE takes it ${withIt.toFixed(3)} ms with ` +
      `a verifier of ${iterations} rounds, ${without.toFixed(3)} ms without a password`,
    `if its DDL and its verifier were all that an exchange cost, it would come to ` +
      `${(withIt / (withIt + verifier)).toFixed(3)} of that DDL's own pace`,
  ];
}

function verifierMs(iterations: number): number {
  const before = process.threadCpuUsage();
  for (let made = 0; made < VERIFIERS; made++) scramVerifierText(iterations);
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000 / VERIFIERS;
}

/** CPU of the server's for one role of pgbench's. */
async function roleMs(
  { server }: BenchInstallation,
  seconds: number,
  iterations: number | null,
): Promise<number> {
  const before = await cpuMs([server.pid]);
  const { perSecond, failed } = await pgbench({
    url: server.url("orders"),
    script: mintScript(`floor${iterations ?? "none"}_`, iterations),
    clients: CLIENTS,
    seconds,
  });
  if (failed > 0) throw new Error(`${failed} of pgbench failed`);
  return ((await cpuMs([server.pid])) - before) / (perSecond * seconds);
}
