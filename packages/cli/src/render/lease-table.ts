import type { LeaseAnswer } from "../api/answers.ts";
import type { Session } from "../session.ts";
import { endsText, exposureText, stateText } from "./exposure-text.ts";
import { table } from "./table.ts";

const NOTHING_KNOWN = "-";

export function leaseTable(leases: readonly LeaseAnswer[], session: Session): string {
  const { paint } = session;
  const colour = (text: string, lease: LeaseAnswer): string => {
    if (lease.state === "stuck") return paint.red(text);
    return lease.exposure.kind === "none" ? paint.dim(text) : text;
  };
  return table<LeaseAnswer>(
    [
      { title: "LEASE", cell: (lease) => lease.id },
      { title: "WORKLOAD", cell: (lease) => lease.workload ?? NOTHING_KNOWN },
      { title: "ROLE", cell: (lease) => lease.role ?? `${lease.backend}/?` },
      { title: "STATE", cell: stateText, colour },
      { title: "ENDS", cell: (lease) => endsText(lease, session) },
      { title: "EXPOSED", cell: (lease) => exposureText(lease, session), colour },
    ],
    leases,
    paint,
  );
}
