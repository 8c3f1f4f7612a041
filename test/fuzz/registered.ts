/** What is registered, as the API itself lists it. */
export interface Registered {
  /** By list: each object as a line. */
  readonly objects: ReadonlyMap<string, string>;
  readonly policies: string;
}

const LISTS = ["backends", "roles", "trust", "resource-servers"] as const;

type Get = (path: string) => Promise<{ readonly status: number; readonly body: unknown }>;

export async function baseline(get: Get): Promise<Registered> {
  const objects = new Map<string, string>();
  for (const list of LISTS) {
    for (const item of itemsOf(await answerOf(get, `/v1/${list}`))) {
      objects.set(`/v1/${list}/${nameOf(item)}`, JSON.stringify(item));
    }
  }
  return { objects, policies: JSON.stringify(await answerOf(get, "/v1/policies")) };
}

async function answerOf(get: Get, path: string): Promise<unknown> {
  const { status, body } = await get(path);
  if (status !== 200) throw new Error(`${path} was answered ${status}: ${JSON.stringify(body)}`);
  return body;
}

const itemsOf = (body: unknown): readonly object[] => {
  const items: unknown =
    typeof body === "object" && body !== null ? Reflect.get(body, "items") : null;
  if (!Array.isArray(items)) throw new Error(`no items in ${JSON.stringify(body)}`);
  return items.filter((item): item is object => typeof item === "object" && item !== null);
};

function nameOf(item: object): string {
  for (const member of ["role", "id", "name"]) {
    const name: unknown = Reflect.get(item, member);
    if (typeof name === "string") return name;
  }
  throw new Error(`no name in ${JSON.stringify(item)}`);
}

/** Where nobody may change anything. */
export function differences(before: Registered, after: Registered): readonly string[] {
  const names = new Set([...before.objects.keys(), ...after.objects.keys()]);
  return [
    ...[...names]
      .filter((name) => before.objects.get(name) !== after.objects.get(name))
      .map((name) => `${name} was changed by a stranger`),
    ...(before.policies === after.policies ? [] : ["the policies were changed by a stranger"]),
  ];
}

/** What is there, was not, and was acknowledged to nobody. */
export function namesSince(
  before: Registered,
  after: Registered,
  acknowledged: readonly string[],
): readonly string[] {
  const puts = new Set(acknowledged.map((one) => plain(one.split(/[?#]/, 1)[0] ?? "")));
  return [...after.objects.keys()]
    .filter((name) => !before.objects.has(name) && !puts.has(`PUT ${name}`))
    .map((name) => `${name} is registered, and its registration was not acknowledged`);
}

/** As the broker reads it: no dot segments; and without percent-encoding, where there is a way. */
function plain(line: string): string {
  const [method = "", path = ""] = line.split(" ", 2);
  try {
    return `${method} ${decodeURIComponent(new URL(`http://broker.test${path}`).pathname)}`;
  } catch {
    return line;
  }
}
