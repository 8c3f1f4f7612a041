import {
  BrokerError,
  bindingOf,
  type Adopted,
  type BackendId,
  type CallContext,
  type InstantMs,
  type LeaseId,
  type Marked,
  type MarkedPage,
  type OpenBackend,
  type RegisteredBackend,
} from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";
import { wakeNow } from "./wake.ts";
import { withDeadline } from "./with-deadline.ts";

export interface OrphanResult {
  readonly backendId: BackendId;
  /** False: the backend's type cannot list, so nothing was looked at. */
  readonly listed: boolean;
  readonly marked: number;
  /** Reopened as `ending`; the pass that was asked for destroys them. */
  readonly orphans: readonly LeaseId[];
  /** Of another installation; not of this backend, or forged: reported, never touched. */
  readonly foreign: number;
  readonly unverified: number;
}

const PAGE_SECONDS_MAX = 30;
/** At most 1,000 each. */
const PAGES_MAX = 10_000;

/**
 * Lists what bears our mark at one backend and looks each up in the ledger, after its page was
 * listed: whatever has no live lease by then, and had none when the listing of its page began, is
 * an orphan. A lease that ends between the two was live when it was seen.
 */
export async function listOrphans(
  parts: CoreParts,
  backendId: BackendId,
  context: CallContext,
): Promise<OrphanResult> {
  const view = await parts.catalog.fresh();
  const known = view.backends.get(backendId);
  if (known === undefined) {
    throw new BrokerError("not_found", `There is no backend ${backendId}.`, { where: backendId });
  }
  const found = { marked: 0, orphans: [] as LeaseId[], foreign: 0, unverified: 0 };
  let listed = false;
  await parts.openBackends.use(known.registered, async (open) => {
    await upkeep(parts, known.registered, open, context);
    if (open.listing.kind === "none") return;
    listed = true;
    for await (const { page, listedAt } of pages(parts, known.registered, open.listing, context)) {
      found.marked += page.marked.length;
      found.foreign += page.marked.filter(({ mark }) => mark.kind === "foreign").length;
      found.unverified += page.marked.filter(({ mark }) => mark.kind === "unverified").length;
      const adopted = await adopt(parts, backendId, page.marked, listedAt);
      found.orphans.push(...adopted.orphans);
      found.unverified += adopted.unverified.length;
    }
  });
  // Where nothing can be listed nothing is overdue either: whoever watches the ages finds this one.
  await parts.ports.sweepLedger.recordSweep(backendId);
  report(parts, backendId, found);
  return { backendId, listed, ...found };
}

async function upkeep(
  { ports: { clock } }: CoreParts,
  { id }: RegisteredBackend,
  open: OpenBackend,
  { signal, ...context }: CallContext,
): Promise<void> {
  if (open.upkeep === undefined) return;
  const keep = open.upkeep;
  const bounds = { clock, seconds: PAGE_SECONDS_MAX, signal, what: `look after ${id}` };
  await withDeadline(bounds, (given) => keep({ ...context, signal: given }));
}

async function* pages(
  parts: CoreParts,
  registered: RegisteredBackend,
  listing: Extract<OpenBackend["listing"], { kind: "marked" }>,
  context: CallContext,
): AsyncGenerator<{ readonly page: MarkedPage; readonly listedAt: InstantMs }> {
  const { clock, sweepLedger } = parts.ports;
  let after: string | null = null;
  for (let count = 0; count < PAGES_MAX; count++) {
    const from: string | null = after;
    const listedAt = await sweepLedger.now();
    const page: MarkedPage = await withDeadline(
      { clock, seconds: PAGE_SECONDS_MAX, signal: context.signal, what: `list ${registered.id}` },
      (signal) => listing.list(from, { ...context, signal }),
    );
    yield { page, listedAt };
    if (page.next === null) return;
    after = page.next;
  }
  throw new BrokerError("backend_rejected", `The listing of ${registered.id} does not end.`);
}

type Ours = Extract<Marked["mark"], { kind: "ours" }>;

async function adopt(
  parts: CoreParts,
  backendId: BackendId,
  marked: readonly Marked[],
  listedAt: InstantMs,
): Promise<Adopted> {
  const { sealer, sweepLedger } = parts.ports;
  const ours: { mark: Ours; externalName: string; sealedHandle: Uint8Array }[] = [];
  for (const { mark, externalName } of marked) {
    if (mark.kind !== "ours") continue;
    const sealedHandle = await sealer.seal(mark.handle, bindingOf.leaseHandle(mark.leaseId));
    ours.push({ mark, externalName, sealedHandle });
  }
  if (ours.length === 0) return { orphans: [], unverified: [] };
  return sweepLedger.adoptOrphans(backendId, ours, listedAt);
}

function report(
  parts: CoreParts,
  backendId: BackendId,
  found: Pick<OrphanResult, "orphans" | "foreign" | "unverified">,
): void {
  const { log } = parts.ports;
  const { orphans, foreign, unverified } = found;
  if (orphans.length > 0) {
    const some = orphans.slice(0, 20);
    log.error("orphans: live at the backend without a live lease; ending them", {
      backend: backendId,
      count: orphans.length,
      some,
    });
    wakeNow(parts, [backendId]);
  }
  if (foreign + unverified > 0) {
    const fields = { backend: backendId, foreign, unverified };
    log.warn("marks that are not ours, or do not verify, were left alone", fields);
  }
}
