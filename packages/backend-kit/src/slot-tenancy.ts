import {
  SLOTS_MAX,
  leaseName,
  parseId,
  readLeaseName,
  Secret,
  type BackendHost,
  type Marked,
  type Tenancy,
} from "@mayfly/spec";
import { z } from "zod";

/** Which slot a lease has, and what says so at the upstream. */
export interface SlotTenancy extends Tenancy {
  /** The lease's name, {@link leaseName}. */
  readonly externalName: string;
  /**
   * What the mint leaves at the slot, in a comment, description or label: name, generation and a
   * keyed tag over both and the slot, at most 160 characters of `[a-z0-9_ ]`.
   */
  readonly mark: string;
}

/** The member of a configuration that names the principals of a pool. */
export const slotPool = (slot: z.ZodType<string>, what: string) =>
  z
    .array(slot)
    .min(1)
    .max(SLOTS_MAX)
    .refine((slots) => new Set(slots).size === slots.length, {
      message: "expected each of them once",
    })
    .describe(
      `${what}, each of one lease at a time. They are of this backend alone, and of no person.`,
    );

const MARK = /^(mf_[a-z2-7]{8}_[0-9a-f]{32}) ([1-9][0-9]{0,15}) ([0-9a-f]{1,96})$/;

const taggedText = (slot: string, name: string, generation: number): string =>
  `slot ${generation} ${name} ${slot}`;

export function slotTenancy(host: BackendHost, tenancy: Tenancy): SlotTenancy {
  const { slot, generation, leaseId } = tenancy;
  const externalName = leaseName(host.installation, leaseId);
  const tag = host.tag(taggedText(slot, externalName, generation));
  return { slot, generation, leaseId, externalName, mark: `${externalName} ${generation} ${tag}` };
}

/** What a listing says of a slot that bears this mark. What it cannot read names the slot. */
export function markedSlot(host: BackendHost, slot: string, mark: string): Marked {
  const [, externalName = "", digits = "", tag = ""] = MARK.exec(mark) ?? [];
  const named = readLeaseName(externalName);
  if (named === null) return { externalName: slot, mark: { kind: "unverified" } };
  const { installation, leaseId } = named;
  if (installation !== host.installation) {
    return { externalName, mark: { kind: "foreign", installation } };
  }
  const generation = Number(digits);
  if (!host.verifyTag(taggedText(slot, externalName, generation), tag)) {
    return { externalName, mark: { kind: "unverified" } };
  }
  const handle = tenancyHandle({ slot, generation, leaseId }, null);
  return { externalName, mark: { kind: "ours", leaseId, handle } };
}

const HANDLE = z.strictObject({
  slot: z.string(),
  generation: z.int(),
  lease: z.string(),
  own: z.string().nullable(),
});

/** What ends a tenancy: slot, generation and lease, and what the type needs besides. */
export const tenancyHandle = (
  { slot, generation, leaseId }: Tenancy,
  own: Secret | null,
): Secret => {
  const exposed = own === null ? null : own.expose("upstream");
  return Secret.of(JSON.stringify({ slot, generation, lease: leaseId, own: exposed }));
};

/** Throws where a handle is none of {@link tenancyHandle}. */
export function readTenancyHandle(handle: Secret): {
  readonly tenancy: Tenancy;
  readonly own: Secret | null;
} {
  const stored: unknown = JSON.parse(handle.expose("upstream"));
  const { slot, generation, lease, own } = HANDLE.parse(stored);
  const leaseId = parseId("lease", lease, "handle.lease");
  return { tenancy: { slot, generation, leaseId }, own: own === null ? null : Secret.of(own) };
}
