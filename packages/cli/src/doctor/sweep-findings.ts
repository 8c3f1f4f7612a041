import { durationText } from "../render/time-text.ts";
import { bad, good, skipped, type Finding } from "./finding.ts";

/** As the broker has them; the defaults where it does not tell. */
export interface Intervals {
  readonly sweepSeconds: number;
  readonly listingSeconds: number;
}
export const DEFAULT_INTERVALS: Intervals = { sweepSeconds: 10, listingSeconds: 60 };

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
export function sweepFindings(
  { sweepAgeSeconds, backends }: Rounds,
  intervals: Intervals = DEFAULT_INTERVALS,
): readonly Finding[] {
  if (backends.length === 0) return [skipped("sweep", "no backend is registered yet")];
  return [
    sweepFinding(sweepAgeSeconds, intervals.sweepSeconds * 2),
    ...backends.map((backend) => listingFinding(backend, intervals.listingSeconds * 2)),
  ];
}

function sweepFinding(ageSeconds: number | null, most: number): Finding {
  const todo = "Start a worker, or read its log; no credential is issued until it sweeps.";
  if (ageSeconds === null) return bad("sweep", "no sweep has ever finished", todo);
  const text = `the last sweep finished ${durationText(ageSeconds * 1_000)} ago`;
  const why = `Issuing stops ${durationText(most * 1_000)} after the last sweep.`;
  return ageSeconds > most ? bad("sweep", text, todo, { why }) : good("sweep", text);
}

function listingFinding(
  { id, leasesStuck, listingAgeSeconds }: Rounds["backends"][number],
  most: number,
): Finding {
  const check = `listing of ${id}`;
  const stuck = leasesStuck === 0 ? "" : `; ${leasesStuck} stuck leases there`;
  const todo = "A worker lists each backend; if it runs, its log says what hinders it.";
  if (listingAgeSeconds !== null) {
    const text = `finished ${durationText(listingAgeSeconds * 1_000)} ago${stuck}`;
    const why = "Orphans there are not seen, and nothing is issued from it meanwhile.";
    return listingAgeSeconds > most ? bad(check, text, todo, { why }) : good(check, text);
  }
  return bad(check, `has never finished: orphans there are not seen${stuck}`, todo);
}
