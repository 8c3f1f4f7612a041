import { z } from "zod";

const ms = z.number().min(0);
const surroundings = {
  /** Of the day on which it was measured. */
  date: z.iso.date(),
  /** Processors, memory and versions, in words. */
  machine: z.string().min(1),
  /** The load average that the machine had when it began, ours not included. */
  load: z.number().min(0),
};
const provenance = {
  ...surroundings,
  /** Of the upstream's server, as it says it. */
  version: z.string().min(1),
};

const typeTimes = z.strictObject({
  ...provenance,
  /** Who refused, in words. */
  refused_by: z.string().min(1),
  rounds: z.int().min(1),
  mint_p50_ms: ms,
  /** Null: it was never refused. */
  refused: z.strictObject({ p50_ms: ms, p99_ms: ms, max_ms: ms }).nullable(),
});

const crowdTimes = z.strictObject({
  ...provenance,
  leases: z.int().min(1),
  /** Sessions that were open when they were due. */
  sessions: z.int().min(0),
  /** From the instant at which they were due to the end of the last. */
  seconds: z.number().min(0),
  outcome: z.enum(["revoked", "expired"]),
  neighbour: z.strictObject({ ends: z.int().min(1), late_ms_max: ms }),
});

/** Of ends at other backends: how long after each was due it was over. */
const otherEnds = z.strictObject({ ends: z.int().min(1), late_p50_ms: ms, late_max_ms: ms });
const downTimes = z.strictObject({
  ...surroundings,
  /** Of each type, one due after the other. */
  leases: z.int().min(1),
  /** While the server of the type refuses connections, and while it takes them and hangs. */
  refuses: otherEnds,
  hangs: otherEnds,
});

/** `docs/backends/times.json`: what `npm run times` and `npm run crowd` measured, by type. */
export const backendTimes = z.strictObject({
  types: z.record(z.string(), typeTimes),
  crowds: z.record(z.string(), crowdTimes),
  /** By the type whose server is down. */
  downs: z.record(z.string(), downTimes),
});
export type BackendTimes = z.infer<typeof backendTimes>;
export type TypeTimes = z.infer<typeof typeTimes>;
export type CrowdTimes = z.infer<typeof crowdTimes>;
export type DownTimes = z.infer<typeof downTimes>;
export type OtherEnds = z.infer<typeof otherEnds>;

export const NO_TIMES: BackendTimes = { types: {}, crowds: {}, downs: {} };
