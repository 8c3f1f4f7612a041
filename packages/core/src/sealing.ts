import type { Actor, SealedKind, Sealer, SealedValue, SealedValues } from "@mayfly/spec";

/** Values read at once. */
const BATCH = 500;
/** Batches of one look at everything: beyond that there are more live leases than anybody has. */
const BATCHES_MAX = 10_000;

/** How many values of one kind are sealed under one key. */
export interface SealedCount {
  readonly kind: SealedKind;
  /** Null: what stands there is no sealed value. */
  readonly keyId: string | null;
  readonly values: number;
}
export interface SealingStatus {
  /** The ring of the process that looked: the first one seals. */
  readonly keyIds: readonly string[];
  readonly counts: readonly SealedCount[];
}
export interface Resealed {
  readonly resealed: number;
  /** Written anew by somebody else meanwhile. */
  readonly changed: number;
  /** Places of what does not open: altered, or sealed under a key that is not in the ring. */
  readonly unopened: readonly string[];
  /** Where to go on; null: that was all. */
  readonly next: string | null;
}

/** Moves what is stored from one sealing key to the next, while everything runs. */
export interface Sealing {
  status(): Promise<SealingStatus>;
  /** One batch from after that place on, under the current key. */
  reseal(after: string | null, actor: Actor): Promise<Resealed>;
}

export interface SealingPorts {
  readonly sealed: SealedValues;
  readonly sealer: Sealer;
}

export function createSealing({ sealed, sealer }: SealingPorts): Sealing {
  return {
    status: async () => ({ keyIds: sealer.keyIds, counts: await countAll(sealed, sealer) }),
    reseal: async (after, actor) => {
      const page = await sealed.page(after, BATCH);
      const [current] = sealer.keyIds;
      const fresh: { readonly value: SealedValue; readonly sealed: Uint8Array }[] = [];
      const unopened: string[] = [];
      for (const value of page) {
        if (keyIdOf(sealer, value) === current) continue;
        const bytes = await resealOne(sealer, value);
        if (bytes === null) unopened.push(value.place);
        else fresh.push({ value, sealed: bytes });
      }
      const resealed = fresh.length === 0 ? 0 : await sealed.replace(fresh, current, actor);
      return {
        resealed,
        changed: fresh.length - resealed,
        unopened,
        next: page.length < BATCH ? null : (page.at(-1)?.place ?? null),
      };
    },
  };
}

async function countAll(sealed: SealedValues, sealer: Sealer): Promise<readonly SealedCount[]> {
  const counts = new Map<string, SealedCount>();
  let after: string | null = null;
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    const page: readonly SealedValue[] = await sealed.page(after, BATCH);
    for (const value of page) {
      const keyId = keyIdOf(sealer, value);
      const name = `${value.kind} ${keyId ?? ""}`;
      const values = (counts.get(name)?.values ?? 0) + 1;
      counts.set(name, { kind: value.kind, keyId, values });
    }
    after = page.at(-1)?.place ?? null;
    if (page.length < BATCH) return [...counts.values()];
  }
  throw new Error("there are more sealed values than are counted");
}

function keyIdOf(sealer: Sealer, { sealed }: SealedValue): string | null {
  try {
    return sealer.keyIdOf(sealed);
  } catch {
    return null;
  }
}

/** Null where it does not open: said by its place, and the others go on. */
async function resealOne(sealer: Sealer, value: SealedValue): Promise<Uint8Array | null> {
  try {
    return await sealer.seal(await sealer.open(value.sealed, value.binding), value.binding);
  } catch {
    return null;
  }
}
