import { LISTED_MAX, listedMarks } from "@mayfly/backend-kit";
import type { CallContext, Marked, MarkedPage } from "@mayfly/spec";
import { inParallel } from "./in-parallel.ts";
import { LEASES, listAt, markOf, type Lane } from "./lane.ts";
import { readRoleName, writeHandle } from "./lease-mark.ts";

const LOOKS_AT_ONCE = 8;

interface Found {
  readonly externalName: string;
  readonly isOurs: boolean;
  readonly hasTokens: boolean;
}

/** Token roles of our form, and those whose tokens live, of any installation, in order of names. */
export async function listMarked(
  lane: Lane,
  after: string | null,
  context: CallContext,
): Promise<MarkedPage> {
  const page = (await findNamed(lane, context))
    .filter(({ externalName }) => after === null || externalName > after)
    .slice(0, LISTED_MAX);
  const marked = await inParallel(page, LOOKS_AT_ONCE, (one) => markedOf(lane, one, context));
  return {
    marked: marked.flat(),
    next: page.length === LISTED_MAX ? (page.at(-1)?.externalName ?? null) : null,
  };
}

/** One for each name; of several that have it the one whose tag verifies. */
async function findNamed(lane: Lane, context: CallContext): Promise<readonly Found[]> {
  const [roles, made] = await Promise.all([
    listAt(lane, "auth/token/roles", context),
    listAt(lane, `${LEASES}/auth/token/create/`, context),
  ]);
  const below = made.filter((key) => key.endsWith("/"));
  const withTokens = new Set(below.map((key) => key.slice(0, -1)));
  const found = new Map<string, Found>();
  for (const name of new Set([...withTokens, ...roles])) {
    const read = readRoleName(name, lane.host);
    if (read === null || found.get(read.externalName)?.isOurs === true) continue;
    found.set(read.externalName, { ...read, hasTokens: withTokens.has(name) });
  }
  return [...found.values()].toSorted((a, b) => (a.externalName < b.externalName ? -1 : 1));
}

/** A role whose tokens live is no tombstone; of the others, which are few, it is asked. */
async function markedOf(
  lane: Lane,
  { externalName, isOurs, hasTokens }: Found,
  context: CallContext,
): Promise<readonly Marked[]> {
  const role = isOurs && !hasTokens ? await markOf(lane, lane.work, externalName, context) : null;
  // It went between the two looks.
  if (isOurs && !hasTokens && role === null) return [];
  const at = role !== null && role !== "strange" && role.kind === "tombstone" ? role.at : null;
  const mark = at === null ? ({ kind: "lease" } as const) : ({ kind: "tombstone", at } as const);
  return listedMarks(
    {
      externalName,
      mark: () => (isOurs ? mark : null),
      handle: () => writeHandle({ name: externalName }),
    },
    lane.host,
  );
}
