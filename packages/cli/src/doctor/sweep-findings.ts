import { durationText } from "../render/time-text.ts";
import { bad, good, skipped, type Finding } from "./finding.ts";

/** The default of MAYFLY_SWEEP_INTERVAL_SECONDS, twice: after it issuing stops. */
const SWEEP_AGE_SECONDS_MAX = 20;

/** The part of the ledger's counts that tells whether workers do their round. */
export interface Rounds {
  readonly sweepAgeSeconds: number | null;
  readonly backends: readonly {
    readonly id: string;
    readonly leasesStuck: number;
    readonly listingAgeSeconds: number | null;
  }[];
}

/** When sweeps and listings came by; issuing waits for both. */
export function sweepFindings({ sweepAgeSeconds, backends }: Rounds): readonly Finding[] {
  if (backends.length === 0) return [skipped("sweep", "no backend is registered yet")];
  return [sweepFinding(sweepAgeSeconds), ...backends.map(listingFinding)];
}

function sweepFinding(ageSeconds: number | null): Finding {
  const todo = "Start a worker, or read its log; no credential is issued until it sweeps.";
  if (ageSeconds === null) return bad("sweep", "no sweep has ever finished", todo);
  const text = `the last sweep finished ${durationText(ageSeconds * 1_000)} ago`;
  return ageSeconds > SWEEP_AGE_SECONDS_MAX ? bad("sweep", text, todo) : good("sweep", text);
}

function listingFinding({ id, leasesStuck, listingAgeSeconds }: Rounds["backends"][number]) {
  const check = `listing of ${id}`;
  const stuck = leasesStuck === 0 ? "" : `; ${leasesStuck} stuck leases there`;
  if (listingAgeSeconds !== null) {
    return good(check, `finished ${durationText(listingAgeSeconds * 1_000)} ago${stuck}`);
  }
  const todo = "A worker lists each backend; if it runs, its log says what hinders it.";
  return bad(check, `has never finished: orphans there are not seen${stuck}`, todo);
}
