import { BENCH_ROLE, type BenchInstallation } from "./bench-installation.ts";
import { driveLoad } from "./drive-load.ts";

const CLIENTS = 64;
const SECONDS = 12;
const RATE_MAX = 1500;

/**
 * Exchanges until the broker and the worker run code that Node has compiled and optimized: rounds
 * before that would measure the first minute of a process that lives for weeks. Answers how many
 * there were.
 */
export async function warmUp({ api, trust }: BenchInstallation): Promise<number> {
  const { okInAll } = await driveLoad({
    url: api.url,
    trust,
    clients: CLIENTS,
    seconds: SECONDS,
    role: BENCH_ROLE,
    rateMax: RATE_MAX,
  });
  return okInAll;
}
