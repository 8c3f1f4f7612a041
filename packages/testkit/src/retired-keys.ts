import {
  instantMs,
  plusSeconds,
  RETIRED_BEFORE_SECONDS,
  type DurationSeconds,
  type StoredSigningKey,
} from "@mayfly/spec";

/** What `retire` of a store makes of the keys before `replacement`, whose creation is "now". */
export function retiredKeys(
  keys: readonly StoredSigningKey[],
  kid: string,
  { createdAt: now }: StoredSigningKey,
  oldVerifyFor: DurationSeconds,
): readonly StoredSigningKey[] {
  const last = plusSeconds(now, oldVerifyFor);
  return keys.map((key) => {
    const isOver = key.kid === kid || key.signsFromAt > now;
    const until = isOver ? plusSeconds(now, -RETIRED_BEFORE_SECONDS) : last;
    const before = key.verifiesUntilAt ?? until;
    return { ...key, verifiesUntilAt: instantMs(Math.min(before, until)) };
  });
}
