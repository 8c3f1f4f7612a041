import { backendOfRole, parseRoleName, type JsonObject } from "@mayfly/spec";
import { CliError } from "../cli-error.ts";
import type { DesiredObject } from "./desired-objects.ts";

/** Of one call: each connects to a backend at most a few times, and a call is bounded in time. */
const ROLES_A_CALL = 20;

interface Planned {
  readonly desired: DesiredObject;
  readonly result: "created" | "updated" | "unchanged" | "refused";
  readonly error: CliError | null;
}
type Ask<T> = (objects: readonly DesiredObject[], body: JsonObject) => Promise<readonly T[]>;
type Objects = ReadonlyMap<DesiredObject, JsonObject>;

/**
 * Plans each backend with its roles. In the order in which they can be put: one that takes what
 * another one gives up, such as an audience, comes behind it.
 */
export async function planBackends<T extends Planned>(
  ask: Ask<T>,
  objects: Objects,
): Promise<readonly T[]> {
  const of = (kind: DesiredObject["kind"]): readonly DesiredObject[] =>
    [...objects.keys()].filter((each) => each.kind === kind);
  const roles = Map.groupBy(of("role"), ({ name, place }) =>
    backendOfRole(parseRoleName(name, place)),
  );
  const names = new Set<string>([...of("backend").map(({ name }) => name), ...roles.keys()]);
  const plan = async (name: string, before: readonly JsonObject[]): Promise<readonly T[]> => {
    const backend = of("backend").find((each) => each.name === name);
    const own = [...roles].find(([id]) => id === name)?.[1] ?? [];
    return planOne(ask, objects, { backend, roles: own, before });
  };
  const planned = new Map<string, readonly T[]>();
  for (const name of names) planned.set(name, await plan(name, []));
  await planMoves(planned, objects, plan);
  return [...planned.values()].flat();
}

async function planOne<T>(
  ask: Ask<T>,
  objects: Objects,
  wanted: {
    readonly backend: DesiredObject | undefined;
    readonly roles: readonly DesiredObject[];
    readonly before: readonly JsonObject[];
  },
): Promise<readonly T[]> {
  const { backend, roles, before } = wanted;
  const planned: T[] = [];
  const parts = roles.length === 0 ? [[]] : chunks(roles, ROLES_A_CALL);
  for (const [part, some] of parts.entries()) {
    const with_ = backend === undefined ? [] : [backend];
    const body = {
      ...(backend === undefined ? {} : { backend: objects.get(backend) ?? {} }),
      // Brokers of an earlier version know no such member.
      ...(before.length === 0 ? {} : { before }),
      roles: some.map((each) => objects.get(each) ?? {}),
    };
    const answers = await ask([...with_, ...some], body);
    planned.push(...(part === 0 ? answers : answers.slice(with_.length)));
  }
  return planned;
}

/**
 * What is refused for a name that another backend has is planned again, as behind those that
 * change. Two that swap names stay refused: neither can be first.
 */
async function planMoves<T extends Planned>(
  planned: Map<string, readonly T[]>,
  objects: Objects,
  plan: (name: string, before: readonly JsonObject[]) => Promise<readonly T[]>,
): Promise<void> {
  let moved: boolean;
  do {
    moved = false;
    for (const [name, [first]] of planned) {
      if (first === undefined || !isTaken(first)) continue;
      const before = changesBefore(planned, objects);
      const again = before.length === 0 ? [first] : await plan(name, before).catch(unlessOlder);
      if (again === null || again[0] === undefined || isTaken(again[0])) continue;
      planned.delete(name);
      planned.set(name, again);
      moved = true;
    }
  } while (moved);
}

const isTaken = ({ error }: Planned): boolean =>
  error?.parts.code === "check_failed" &&
  /_of_another_backend"|_spelled_like_another"/.test(JSON.stringify(error.parts.more ?? {}));

/** An earlier broker refuses the question, and its first answer stands. */
function unlessOlder(error: unknown): null {
  if (error instanceof CliError && error.parts.code === "invalid_input") return null;
  throw error;
}

const changesBefore = (
  planned: ReadonlyMap<string, readonly Planned[]>,
  objects: Objects,
): readonly JsonObject[] =>
  [...planned.values()].flatMap(([first]) => {
    if (first?.desired.kind !== "backend" || first.result !== "updated") return [];
    const { backend = "", config = null } = objects.get(first.desired) ?? {};
    return [{ backend, config }];
  });

export function chunks<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  const parts: T[][] = [];
  for (let at = 0; at < items.length; at += size) parts.push(items.slice(at, at + size));
  return parts;
}
