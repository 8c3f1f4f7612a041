import { MINT_FAULTS } from "./batched-mints.ts";
import type { Draw } from "./draw.ts";
import { BACKEND_FAULTS } from "./faults.ts";
import { COMMIT_FAULTS } from "./group-commits.ts";
import { POOL_FAULTS, SLOT_CALLS } from "./pool-faults.ts";

/** Calls of the ledger that a process may make, by port: each is two awaits, before and after. */
export const LEDGER_CALLS = {
  issueLedger: ["readIdempotent", "checkpoint", "abandon", "recordRenewal"],
  taskLedger: ["find", "heartbeat", "requestEnd", "applyEnd", "endLease", "leasesBelow", "lease"],
  sweepLedger: [
    "dueTasks",
    "endStrays",
    "dueBackends",
    "claim",
    "now",
    "adoptOrphans",
    "recordSweep",
  ],
  selectorEnds: ["request", "look", "mark", "finish", "abandoned", "report", "liveMembers"],
  health: ["read"],
  catalog: ["version", "snapshot", "backendAt"],
} as const;

/** Stages of the group commit: each is three awaits of the process that commits. */
const COMMITS = ["reserve", "activate", "settle", "recordDenial"] as const;
const SKIPPING = ["reserve", "activate"] as const;

/** The same of ports that have no faults of their own. */
export const MORTAL_CALLS = { sealer: ["seal", "open"], taskTokens: ["sign", "verify"] } as const;
export const QUEUE_CALLS = ["wakeAt", "wakeNow"] as const;

/** What befalls the process itself at an await. */
export const OF_PROCESS = ["kill", "freeze", "slow"] as const;

/** Calls of the core that no simulated history makes, and why. */
const NEVER_MADE: Readonly<Record<string, string>> = {
  checkpoint: "no simulated backend mints in several steps",
  backendAt: "no backend is deleted or moved to another server under its leases",
};

/** Of the ledger, by the rate that all processes share. */
export const BUDGET_CALLS = ["draw", "pause"] as const;

const ledgerCalls = (): readonly string[] => [
  ...Object.values(LEDGER_CALLS)
    .flat()
    .filter((call) => NEVER_MADE[call] === undefined),
  ...BUDGET_CALLS,
];

/** Each await of a process on the world. */
export const awaits = (): readonly [string, ...string[]] => {
  const aroundOf = (place: string): readonly string[] => [`${place}, before`, `${place}, after`];
  return [
    "ledger.applyEnd, in transaction",
    ...ledgerCalls().flatMap((call) => aroundOf(`ledger.${call}`)),
    ...Object.keys(BACKEND_FAULTS).flatMap((call) => aroundOf(`backend.${call}`)),
    ...Object.entries(MORTAL_CALLS).flatMap(([port, calls]) =>
      calls.flatMap((call) => aroundOf(`${port}.${call}`)),
    ),
    ...QUEUE_CALLS.map((call) => `queue.${call}`),
    ...COMMITS.flatMap((call) => [...aroundOf(`commit.${call}`), `commit.${call}, in transaction`]),
    ...aroundOf("commit.reread"),
    ...aroundOf("mints"),
    "mints, on the wire",
    ...SLOT_CALLS.flatMap((call) => aroundOf(`slots.${call}`)),
    ...Object.keys(POOL_FAULTS).map((call) => `pool.${call}, on the wire`),
  ];
};

/** Calls that few histories make: half of the histories have their worst place at one of these. */
const SELDOM: ReadonlySet<string> = new Set([
  "ledger.abandon",
  "ledger.finish",
  "ledger.lease",
  "ledger.liveMembers",
  "ledger.mark",
  "ledger.pause",
  "ledger.recordRenewal",
  "ledger.report",
  "ledger.request",
  "backend.extend",
  "commit.recordDenial",
  "commit.reread",
  "slots.find",
  "pool.extend",
  "pool.recover",
]);
const callOf = (place: string): string => place.split(",")[0] ?? place;
const isSeldom = (place: string): boolean => SELDOM.has(callOf(place));

/** The await of a history at which processes die and freeze most. */
export function drawFocus(draw: Draw): string {
  const all = awaits();
  const [first, ...rest] = all.filter(isSeldom);
  return first !== undefined && draw.chance(0.5) ? draw.of([first, ...rest]) : draw.of(all);
}

/** How many times more often than elsewhere things go wrong there, with `focus` the worst place. */
export const oftenAt = (focus: string, place: string): number => {
  // A place is an await, or a whole call: then both of its awaits are of it.
  if (!focus.startsWith(place)) return 1;
  if (focus.length > place.length && focus[place.length] !== ",") return 1;
  return isSeldom(focus) ? SELDOM_OFTEN : FOCUS_OFTEN;
};
const FOCUS_OFTEN = 20;
const SELDOM_OFTEN = 80;

/** Every pair of a place and a fault that can be hit: a long run that misses one has a hole. */
export function expectedPairs(): readonly (readonly [place: string, fault: string])[] {
  const pairs: (readonly [string, string])[] = [];
  for (const place of awaits()) for (const fault of OF_PROCESS) pairs.push([place, fault]);
  for (const call of ledgerCalls()) {
    pairs.push([`ledger.${call}`, "unreachable"], [`ledger.${call}`, "acknowledgement lost"]);
  }
  for (const [call, faults] of Object.entries(BACKEND_FAULTS)) {
    for (const fault of faults) pairs.push([`backend.${call}`, fault]);
    pairs.push([`backend.${call}`, "away: unavailable"], [`backend.${call}`, "away: hang"]);
  }
  for (const call of SLOT_CALLS) {
    pairs.push([`slots.${call}`, "unreachable"], [`slots.${call}`, "acknowledgement lost"]);
  }
  for (const [call, faults] of Object.entries(POOL_FAULTS)) {
    for (const fault of faults) pairs.push([`pool.${call}`, fault]);
  }
  for (const call of COMMITS) {
    for (const fault of COMMIT_FAULTS) pairs.push([`commit.${call}`, fault]);
    pairs.push([`commit.${call}`, "a batch of several"]);
  }
  for (const call of SKIPPING) pairs.push([`commit.${call}`, "locked: alone"]);
  pairs.push(["commit.reserve", "a value that cannot be stored"]);
  pairs.push(["commit.reread", "unreachable"]);
  for (const fault of MINT_FAULTS) pairs.push(["mints", fault]);
  pairs.push(["pool", "away: unavailable"]);
  pairs.push(["mints", "away: not sent"], ["mints", "a batch of several"]);
  pairs.push(["backend.issue", "kill, request on the wire"]);
  for (const fate of ["lost", "repeated", "late"]) pairs.push(["queue.ring", fate]);
  for (const what of ["ledger away", "backend away", "queue forgets"]) pairs.push(["server", what]);
  pairs.push(["clock", "jump"], ["clock", "skew"]);
  pairs.push(["administrator", "end by selector"], ["administrator", "backend reconfigured"]);
  return pairs;
}
