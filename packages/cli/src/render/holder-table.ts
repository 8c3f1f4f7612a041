import type { HolderAnswer } from "../api/security-answers.ts";
import type { Session } from "../session.ts";
import { exposureText, stateText } from "./exposure-text.ts";
import { table } from "./table.ts";

const NOTHING_KNOWN = "-";

/** `alice@acme.test (verified)`: whether it came in a token or was said alone. */
export const initiatorText = (initiator: HolderAnswer["initiator"]): string =>
  initiator === null ? NOTHING_KNOWN : `${initiator.name} (${initiator.basis})`;

/** `bots-read@9f2c1a3b`: which policies, of which set. */
export const policyText = (policy: HolderAnswer["policy"]): string =>
  policy === null
    ? NOTHING_KNOWN
    : `${policy.determining_policies.join(", ")}@${policy.digest.slice(0, 8)}`;

/** Who holds what, on whose behalf, by which policy, until when. */
export function holderTable(holders: readonly HolderAnswer[], session: Session): string {
  return table<HolderAnswer>(
    [
      { title: "LEASE", cell: ({ lease }) => lease.id },
      { title: "WORKLOAD", cell: ({ lease }) => lease.workload ?? NOTHING_KNOWN },
      { title: "ROLE", cell: ({ lease }) => lease.role ?? `${lease.backend}/?` },
      { title: "ON BEHALF OF", cell: ({ initiator }) => initiatorText(initiator) },
      { title: "POLICY", cell: ({ policy }) => policyText(policy) },
      { title: "STATE", cell: ({ lease }) => stateText(lease) },
      { title: "EXPOSED", cell: ({ lease }) => exposureText(lease, session) },
    ],
    holders,
    session.paint,
  );
}
