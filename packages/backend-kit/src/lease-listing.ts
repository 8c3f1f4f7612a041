import {
  durationSeconds,
  readLeaseName,
  type BackendHost,
  type Marked,
  type Recovered,
  type Secret,
} from "@mayfly/spec";

/** As the interface allows. */
export const LISTED_MAX = 1_000;
/** A tombstone this much older than its quarantine was forgotten by whoever made it. */
const FORGOTTEN_SECONDS = 60;

/** What stands on a thing upstream and proves that it is ours; `at` in ms ({@link listedMarks}). */
export type LeaseMark =
  | { readonly kind: "lease" }
  | { readonly kind: "tombstone"; readonly at: number };

export interface Listed<Mark extends LeaseMark> {
  readonly externalName: string;
  /** Null unless it verifies; read only where the name is of this installation. */
  readonly mark: () => Mark | null;
  readonly handle: (mark: Mark) => Secret;
}

/**
 * What a listing says of one thing that bears a mark. A young tombstone is no credential and no
 * orphan: whoever recovers takes it away. One that is left over is listed like a lease, so that it
 * is destroyed.
 *
 * @param nowMs by the clock that the tombstones' `at` is of
 */
export function listedMarks<Mark extends LeaseMark>(
  { externalName, mark: markOf, handle }: Listed<Mark>,
  host: BackendHost,
  nowMs: number = host.clock.now(),
  readName: typeof readLeaseName = readLeaseName,
): readonly Marked[] {
  const named = readName(externalName);
  if (named === null) return [{ externalName, mark: { kind: "unverified" } }];
  const { installation, leaseId } = named;
  if (installation !== host.installation) {
    return [{ externalName, mark: { kind: "foreign", installation } }];
  }
  const mark = markOf();
  if (mark === null) return [{ externalName, mark: { kind: "unverified" } }];
  const keepMs = (host.quarantineSeconds + FORGOTTEN_SECONDS) * 1_000;
  if (mark.kind === "tombstone" && nowMs - mark.at < keepMs) return [];
  return [{ externalName, mark: { kind: "ours", leaseId, handle: handle(mark) } }];
}

/** What `recover` says while it is not settled. */
export const waitMs = (ms: number, reason = "the name is kept by a tombstone"): Recovered => ({
  outcome: "wait",
  seconds: durationSeconds(Math.max(1, Math.ceil(ms / 1_000))),
  reason,
});
