import { BrokerError, type RegisteredNames } from "@mayfly/spec";
import type { AppPorts } from "./app.ts";
import { authorOf } from "./author.ts";
import { nearestName } from "./nearest-name.ts";
import type { HttpContext } from "./request-scope.ts";

type Member = keyof RegisteredNames;
type Ports = AppPorts;

/** As requests and commands call it. */
const MEMBERS = {
  backendId: { name: "backend", noun: "backend", list: "mayfly backend list" },
  role: { name: "role", noun: "role", list: "mayfly role list" },
  trustRoot: { name: "trust_root", noun: "trust root", list: "mayfly trust list" },
  trustDomain: { name: "trust_domain", noun: "trust domain", list: "mayfly trust list" },
} as const satisfies Readonly<Record<Member, unknown>>;

interface Asked {
  readonly names: RegisteredNames;
  /** Where they stand. */
  readonly where: "body.selector" | "query";
  /** What is said beside it: that nothing was done. */
  readonly hint: string;
  /** Whether something is found by these names all the same. */
  finds(): Promise<boolean>;
}

/**
 * Throws `invalid_input` where nothing is found by a name that nobody ever registered: whoever
 * mistyped it would believe that there is nothing, or that something was ended. What finds
 * something is never refused. To be called when the caller's authority is decided.
 */
export async function requireKnownNames(c: HttpContext, ports: Ports, asked: Asked): Promise<void> {
  const [member] = await ports.selectorEnds.unknownNames(asked.names);
  if (member === undefined || (await asked.finds())) return;
  const { name, noun, list } = MEMBERS[member];
  const wrong = asked.names[member] ?? "";
  const nearest = nearestName(wrong, await readableNames(c, ports, member));
  const meant = nearest === null ? "" : `Did you mean ${nearest}? `;
  throw new BrokerError(
    "invalid_input",
    `There is no ${noun} ${wrong}, and there never was: it selects nothing.`,
    {
      where: `${asked.where}.${name}`,
      public: { hint: `${asked.hint}${meant}\`${list}\` shows what is registered.` },
    },
  );
}

/** What may be shown to the caller; nothing to one who may read nothing. */
async function readableNames(
  c: HttpContext,
  ports: Ports,
  member: Member,
): Promise<readonly string[]> {
  try {
    const readable = await ports.core.readableCatalog(await authorOf(c, ports));
    const { backends, roles, trustRoots } = readable;
    switch (member) {
      case "backendId":
        return backends.map(({ id }) => id);
      case "role":
        return roles.map(({ name }) => name);
      case "trustRoot":
        return trustRoots.map(({ name }) => name);
      case "trustDomain":
        return trustRoots.flatMap(({ config }) => {
          const domain = config["trust_domain"];
          return typeof domain === "string" ? [domain] : [];
        });
    }
  } catch {
    return [];
  }
}
