import { readLeaseName } from "@mayfly/backend-kit";
import type { BackendHost, CallContext, Marked, MarkedPage } from "@mayfly/spec";
import { z } from "zod";
import type { Lane } from "./lane.ts";
import { apiUser, readMark, writeHandle, type ApiUser } from "./lease-mark.ts";
import { toBackendError } from "./rabbit-failure.ts";

/** As the interface allows. */
const PAGE = 1_000;
/** A tombstone this much older than its quarantine was forgotten by whoever made it. */
const FORGOTTEN_SECONDS = 60;

const users = z.array(apiUser);

/** Every user whose name has the form of ours, of any installation, in the order of names. */
export async function listMarked(
  { work, host }: Lane,
  after: string | null,
  context: CallContext,
): Promise<MarkedPage> {
  try {
    const { body } = await work.call("GET", "/api/users?columns=name,tags", context);
    const found = users
      .parse(body)
      .filter(({ name }) => readLeaseName(name) !== null && (after === null || name > after))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .slice(0, PAGE);
    return {
      marked: found.flatMap((user) => markedOf(user, host)),
      next: found.length === PAGE ? (found.at(-1)?.name ?? null) : null,
    };
  } catch (thrown) {
    throw toBackendError(thrown, "list");
  }
}

/**
 * A young tombstone is no credential and no orphan: whoever recovers takes it away. One that is
 * left over is listed like a lease, so that it is destroyed.
 */
function markedOf(user: ApiUser, host: BackendHost): readonly Marked[] {
  const externalName = user.name;
  const named = readLeaseName(externalName);
  if (named === null) return [];
  if (named.installation !== host.installation) {
    return [{ externalName, mark: { kind: "foreign", installation: named.installation } }];
  }
  const mark = readMark(user, host);
  if (mark === null) return [{ externalName, mark: { kind: "unverified" } }];
  const keepMs = (host.quarantineSeconds + FORGOTTEN_SECONDS) * 1_000;
  if (mark.kind === "tombstone" && host.clock.now() - mark.at < keepMs) return [];
  const handle = writeHandle(externalName);
  return [{ externalName, mark: { kind: "ours", leaseId: named.leaseId, handle } }];
}
