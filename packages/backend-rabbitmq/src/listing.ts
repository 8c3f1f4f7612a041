import { LISTED_MAX, listedMarks, readLeaseName } from "@mayfly/backend-kit";
import type { CallContext, MarkedPage } from "@mayfly/spec";
import { z } from "zod";
import type { Lane } from "./lane.ts";
import { apiUser, readMark, writeHandle } from "./lease-mark.ts";

const users = z.array(apiUser);

/** Every user whose name has the form of ours, of any installation, in the order of names. */
export async function listMarked(
  { work, host }: Lane,
  after: string | null,
  context: CallContext,
): Promise<MarkedPage> {
  const { body } = await work.call("GET", "/api/users?columns=name,tags", context);
  const found = users
    .parse(body)
    .filter(({ name }) => readLeaseName(name) !== null && (after === null || name > after))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .slice(0, LISTED_MAX);
  return {
    marked: found.flatMap((user) =>
      listedMarks(
        {
          externalName: user.name,
          mark: () => readMark(user, host),
          handle: () => writeHandle(user.name),
        },
        host,
      ),
    ),
    next: found.length === LISTED_MAX ? (found.at(-1)?.name ?? null) : null,
  };
}
