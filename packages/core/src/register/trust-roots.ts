import { z } from "zod";
import {
  BrokerError,
  NO_TERMS,
  parseTrustRootName,
  type CallContext,
  type Precondition,
  type Put,
  type RegisteredTrustRoot,
  type TrustRoot,
  type TrustRootFacts,
  type TrustRootLook,
  type TrustRootName,
} from "@mayfly/spec";
import { askToSwitch, authorise, authoriseAll, type Asks } from "../administer/authorise.ts";
import type { Author } from "../administer/author.ts";
import { decidedChange } from "../administer/decided-change.ts";
import { trustRootResource } from "../administer/resources.ts";
import type { CoreParts } from "../core-parts.ts";
import { examplePolicy } from "./example-policy.ts";
import { jsonObject } from "../strict/json-object.ts";
import { parseStrict, parsedBy } from "../strict/parse-strict.ts";
import { withDeadline } from "../with-deadline.ts";

export interface TrustRootPut {
  readonly put: Put;
  readonly trustRoot: RegisteredTrustRoot;
}

const FORM = z.strictObject({
  trust: parsedBy(parseTrustRootName),
  kind: z.enum(["spiffe", "oidc", "x509"]),
  enabled: z.boolean().optional(),
  config: jsonObject,
});

/**
 * Registers a trust root; `config` is the identity package's to parse. Throws `invalid_input`, and
 * `conflict` where another enabled one has its issuer.
 */
export async function putTrustRoot(
  parts: CoreParts,
  input: unknown,
  by: Author,
  precondition: Precondition = NO_TERMS.precondition,
): Promise<TrustRootPut> {
  const { put, trustRoot } = await decidedChange(
    parts,
    async ({ snapshot, version: decidedAt }) => {
      const root = parseTrustRoot(parts, snapshot.trustRoots, input);
      const existing = findTrustRoot(snapshot.trustRoots, root.name);
      const asks = asksToRegisterTrust(root, existing);
      const { actor, decisionId } = await authoriseAll(parts, by, asks);
      const terms = { precondition, decisionId, decidedAt };
      return { put: await parts.ports.catalog.putTrustRoot(root, actor, terms), trustRoot: root };
    },
  );
  const after = (await parts.catalog.fresh()).snapshot.trustRoots;
  const registered = findTrustRoot(after, trustRoot.name);
  if (registered !== null) return { put, trustRoot: registered };
  throw new BrokerError(
    "conflict",
    `trust ${trustRoot.name} was deleted as soon as it was registered`,
  );
}

export const findTrustRoot = <T extends TrustRoot>(
  roots: readonly T[],
  name: TrustRootName,
): T | null => roots.find((root) => root.name === name) ?? null;

export const noTrustRoot = (name: TrustRootName): BrokerError =>
  new BrokerError("not_found", `There is no trust root ${name}.`, { where: "name" });

/** What its keys look like now. Looks, and changes nothing; bounded. */
export async function testTrustRoot(
  parts: CoreParts,
  name: TrustRootName,
  by: Author,
  context: CallContext,
): Promise<TrustRootLook> {
  const root = findTrustRoot((await parts.catalog.fresh()).snapshot.trustRoots, name);
  await authorise(parts, by, { action: "test", resources: [trustRootResource(name, root)] });
  if (root === null) throw noTrustRoot(name);
  const { clock, trustRoots } = parts.ports;
  return withDeadline(
    { clock, seconds: LOOK_SECONDS_MAX, signal: context.signal, what: `look at trust ${name}` },
    (signal) => trustRoots.look(root, { ...context, signal }),
  );
}

/** What registering would make, what it means, and how its keys look now. */
export interface TrustRootPreview {
  readonly trustRoot: TrustRoot;
  readonly facts: TrustRootFacts;
  readonly look: TrustRootLook;
  /** A policy that permits its workloads something, with blanks to fill in. Cedar. */
  readonly policy: string;
}

/**
 * For whoever may register it: parses, looks at the keys, and writes nothing. Throws
 * `config_invalid` as registering does; what fails outside is a problem in the look. Bounded.
 */
export async function previewTrustRoot(
  parts: CoreParts,
  input: unknown,
  by: Author,
  context: CallContext,
): Promise<TrustRootPreview> {
  const { clock, trustRoots } = parts.ports;
  const registered = (await parts.catalog.fresh()).snapshot.trustRoots;
  const { trustRoot, facts } = describedRoot(parts, registered, input);
  const existing = findTrustRoot(registered, trustRoot.name);
  await authoriseAll(parts, by, asksToRegisterTrust(trustRoot, existing));
  const look = await withDeadline(
    {
      clock,
      seconds: LOOK_SECONDS_MAX,
      signal: context.signal,
      what: `look at trust ${trustRoot.name}`,
    },
    (signal) => trustRoots.look(trustRoot, { ...context, signal }),
  );
  return { trustRoot, facts, look, policy: examplePolicy(trustRoot.name, facts) };
}

function describedRoot(
  parts: CoreParts,
  registered: readonly TrustRoot[],
  input: unknown,
): Pick<TrustRootPreview, "trustRoot" | "facts"> {
  const trustRoot = parseTrustRoot(parts, registered, input);
  const { trust, kind, config } = parseStrict(FORM, input, "invalid_input", "trust");
  return { trustRoot, facts: parts.ports.trustRoots.describe(trust, kind, config) };
}

/** Discovery and keys are two fetches of at most five seconds each. */
const LOOK_SECONDS_MAX = 15;

/** Both as it would be and as it is. */
export const asksToRegisterTrust = (root: TrustRoot, existing: TrustRoot | null): Asks => [
  {
    action: "register",
    resources: [
      trustRootResource(root.name, root),
      ...(existing === null ? [] : [trustRootResource(root.name, existing)]),
    ],
  },
  ...askToSwitch(existing, root.enabled, () => trustRootResource(root.name, existing)),
];

/** The root that a file describes; one that does not say stays enabled or not, as it is. */
export function parseTrustRoot(
  parts: CoreParts,
  registered: readonly TrustRoot[],
  input: unknown,
): TrustRoot {
  const form = parseStrict(FORM, input, "invalid_input", "trust");
  const parsed = parts.ports.trustRoots.parse(form.trust, form.kind, form.config);
  const existing = findTrustRoot(registered, form.trust);
  return { ...parsed, enabled: form.enabled ?? existing?.enabled ?? true };
}
