import type { InstantMs, Sealer } from "@mayfly/spec";

export interface DpopNonces {
  at(now: InstantMs): string;
  /** The one of now, the one before, and the next: another broker's clock may be ahead. */
  holds(nonce: unknown, now: InstantMs): boolean;
}

const SLOT_MS = 5 * 60_000;
const NONCE = /^(\d{1,12})\.([0-9a-f]{64})$/;

/**
 * Nonces that no broker has to remember and each can check (RFC 9449 section 8): the number of the
 * five minutes in which it was given, with a tag under the key ring that all of them share.
 */
export function createDpopNonces(sealer: Pick<Sealer, "tag" | "verifyTag">): DpopNonces {
  const textOf = (slot: number): string => `dpop-nonce:${slot}`;
  const slotAt = (now: InstantMs): number => Math.floor(now / SLOT_MS);
  let newest: { readonly slot: number; readonly nonce: string } | null = null;
  return {
    at: (now) => {
      const slot = slotAt(now);
      if (newest?.slot !== slot) newest = { slot, nonce: `${slot}.${sealer.tag(textOf(slot))}` };
      return newest.nonce;
    },
    holds: (nonce, now) => {
      const [, slot, tag = ""] = (typeof nonce === "string" ? NONCE.exec(nonce) : null) ?? [];
      if (slot === undefined || Math.abs(Number(slot) - slotAt(now)) > 1) return false;
      return sealer.verifyTag(textOf(Number(slot)), tag);
    },
  };
}
