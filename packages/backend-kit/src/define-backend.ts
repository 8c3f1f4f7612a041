import {
  RISK_MEMBER,
  type AuthorityStep,
  type BackendCapabilities,
  type BackendHost,
  type BackendOperations,
  type CallContext,
  type CredentialBackend,
  type InstantMs,
  type IssueContext,
  type IssuePlan,
  type Issued,
  type JsonObject,
  type MarkedPage,
  type OpenBackend,
  type PoolingHost,
  type Probe,
  type RecoverContext,
  type Recovered,
  type Revoked,
  type Secret,
  type SecretRotation,
  type SelfCheck,
} from "@mayfly/spec";
import type { z } from "zod";
import { describeSettings } from "./describe-settings.ts";
import { toJsonSchema } from "./json-schema.ts";
import type { LeaseRules } from "./lease-rules.ts";
import { parseStrict } from "./parse-strict.ts";
import { plainObject } from "./plain-json.ts";
import { PASSWORD_ROTATION } from "./secret-rotation.ts";
import { createClosing } from "./unless-closed.ts";
import type { UpstreamFailures } from "./upstream-failures.ts";

/**
 * What a type does upstream, with the obligations of {@link BackendOperations}. `Place` is what the
 * operations of one opened backend share. What a type cannot do, it leaves out, as its capabilities
 * say. Of all that these throw, what is no `BackendError` becomes one by the type's own failures.
 */
export interface LeaseOperations<Place> {
  /** Not begun when it is past its deadline or aborted; test it again before the first byte. */
  readonly issue: (place: Place, plan: IssuePlan, context: IssueContext) => Promise<Issued>;
  readonly recover: (
    place: Place,
    plan: IssuePlan,
    context: RecoverContext,
    checkpoint: Secret | null,
  ) => Promise<Recovered>;
  /** With `probe`: both, or neither. */
  readonly revoke?: (place: Place, handle: Secret, context: CallContext) => Promise<Revoked>;
  readonly probe?: (place: Place, handle: Secret, context: CallContext) => Promise<Probe>;
  /** As `issue`. */
  readonly extend?: (
    place: Place,
    handle: Secret,
    expiresAt: InstantMs,
    context: IssueContext,
    plan: IssuePlan,
  ) => Promise<InstantMs>;
  readonly list?: (place: Place, after: string | null, context: CallContext) => Promise<MarkedPage>;
  /** Where leases share something upstream: see {@link BackendOperations.upkeep}. */
  readonly upkeep?: (place: Place, context: CallContext) => Promise<void>;
  /** Of a type of standing secrets; see {@link OpenBackend}. */
  readonly replaced?: (place: Place, handle: Secret, context: CallContext) => Promise<Probe>;
  /** Of a type whose configuration has a `previousPassword`, or with a `rotation` of its own. */
  readonly adoptSecret?: (place: Place, context: CallContext) => Promise<void>;
  /** Of a type whose upstream makes the secret: see {@link BackendOperations.obtainSecret}. */
  readonly obtainSecret?: (place: Place, context: CallContext) => Promise<Secret | null>;
  readonly selfCheck: (
    place: Place,
    roles: readonly JsonObject[],
    context: CallContext,
  ) => Promise<SelfCheck>;
}

export interface BackendDefinition<Config, Place, Host = BackendHost> {
  readonly type: string;
  readonly capabilities: BackendCapabilities;
  /** Members that are secret say so: `ownSecret()`, or `writeOnly` of theirs. */
  readonly config: z.ZodType<Config>;
  /** See {@link CredentialBackend}; left out where nothing is to be allowed. */
  readonly authority?: readonly AuthorityStep[];
  readonly leases: LeaseRules;
  readonly failures: UpstreamFailures;
  /** Of a type with `adoptSecret`; default: of a `password` and its {@link previousPassword}. */
  readonly rotation?: SecretRotation;
  /** Calls nobody. `closing` is aborted by `close`. */
  readonly open: (config: Config, host: Host, closing: AbortSignal) => Place;
  readonly close: (place: Place) => Promise<void>;
  readonly operations: LeaseOperations<Place>;
}

/**
 * A complete backend type of what only the type can know. What is closed begins nothing any more;
 * what is late or aborted is not begun; whatever fails, fails as a `BackendError`.
 */
export function defineBackend<Config, Place>(
  definition: BackendDefinition<Config, Place>,
): CredentialBackend {
  if (definition.capabilities.pooled !== true) return completed(definition);
  throw new TypeError(`type ${definition.type}: what is pooled is defined by definePooledBackend`);
}

/** The same for every type, whatever host it is opened with. */
export function completed<Config, Place>(
  definition: BackendDefinition<Config, Place, PoolingHost>,
): CredentialBackend {
  const { type, capabilities, leases } = definition;
  refuseContradictions(definition);
  const configSchema = toJsonSchema(definition.config);
  const configOf = (input: unknown): Config => parseStrict(definition.config, input, "config");
  const parseConfig = (input: unknown): JsonObject => plainObject(configOf(input) as object);
  return {
    specVersion: 1,
    type,
    capabilities,
    configSchema,
    ...(definition.authority === undefined ? {} : { authority: definition.authority }),
    roleSchema: leases.roleSchema,
    paramsSchema: leases.paramsSchema,
    parseConfig,
    parseRole: leases.parseRole,
    parseParams: leases.parseParams,
    describeConfig: (config) => describeSettings(configSchema, parseConfig(config)),
    plan: (request) => {
      const plan = leases.plan(request);
      if (capabilities.standingSecret !== true || RISK_MEMBER in plan.grant) return plan;
      throw new TypeError(`type ${type}: a grant of a standing secret names its risk`);
    },
    isWithin: leases.isWithin,
    ...(definition.operations.adoptSecret === undefined
      ? {}
      : { rotation: definition.rotation ?? PASSWORD_ROTATION }),
    ...(definition.operations.upkeep === undefined ? {} : { looksAfter: true }),
    open: (config, host) => open(definition, configOf(config), host),
  };
}

function open<Config, Place>(
  { capabilities, failures, operations, ...definition }: Opening<Config, Place>,
  config: Config,
  host: PoolingHost,
): OpenBackend {
  const closing = createClosing(failures.name);
  const place = definition.open(config, host, closing.signal);
  const whole: Whole = (what, work) =>
    closing.unlessClosed(async (...args) => {
      try {
        return await work(...args);
      } catch (thrown) {
        throw failures.toBackendError(thrown, what);
      }
    });
  const { extend, list, upkeep } = operations;
  const common: BackendOperations = {
    issue: whole("issue", async (plan, context) => {
      failures.refuseLate(context, "issue");
      return operations.issue(place, plan, context);
    }),
    recover: whole("recover", (plan, checkpoint, context) =>
      operations.recover(place, plan, context, checkpoint),
    ),
    renewal:
      extend === undefined
        ? { kind: "none" }
        : {
            kind: "extend",
            extend: whole("renew", async (plan, handle, expiresAt, context) => {
              failures.refuseLate(context, "renew");
              return extend(place, handle, expiresAt, context, plan);
            }),
          },
    listing:
      list === undefined
        ? { kind: "none" }
        : { kind: "marked", list: whole("list", (after, context) => list(place, after, context)) },
    ...rotationOf(place, operations, whole),
    ...(upkeep === undefined
      ? {}
      : { upkeep: whole("look after it", (context) => upkeep(place, context)) }),
    selfCheck: closing.unlessClosed(async (roles, context) => {
      try {
        return await operations.selfCheck(place, roles, context);
      } catch (thrown) {
        throw failures.toSelfCheckError(thrown);
      }
    }),
    close: async () => {
      closing.close();
      await definition.close(place);
    },
  };
  return withEnding(common, capabilities.revocation, place, operations, whole);
}

type Opening<Config, Place> = BackendDefinition<Config, Place, PoolingHost>;

type Whole = <A extends readonly unknown[], T>(
  what: string,
  work: (...args: A) => Promise<T>,
) => (...args: A) => Promise<T>;

function rotationOf<Place>(
  place: Place,
  { adoptSecret, obtainSecret }: LeaseOperations<Place>,
  whole: Whole,
): Pick<BackendOperations, "adoptSecret" | "obtainSecret"> {
  return {
    ...(adoptSecret === undefined
      ? {}
      : { adoptSecret: whole("adopt a secret", (context) => adoptSecret(place, context)) }),
    ...(obtainSecret === undefined
      ? {}
      : { obtainSecret: whole("obtain a secret", (context) => obtainSecret(place, context)) }),
  };
}

function withEnding<Place>(
  common: BackendOperations,
  revocation: BackendCapabilities["revocation"],
  place: Place,
  { revoke, probe, replaced }: LeaseOperations<Place>,
  whole: Whole,
): OpenBackend {
  if (revocation === "none" || revoke === undefined || probe === undefined) {
    const none = { ...common, revocation: "none" } as const;
    if (replaced === undefined) return none;
    return {
      ...none,
      replaced: whole("end", (handle, context) => replaced(place, handle, context)),
    };
  }
  return {
    ...common,
    revocation,
    revoke: whole("revoke", (handle, context) => revoke(place, handle, context)),
    probe: whole("probe", (handle, context) => probe(place, handle, context)),
  };
}

/** Where a type is defined, so that none is offered that says other than it does. */
function refuseContradictions<Config, Place>({
  type,
  capabilities: { canRenew, canList, revocation, lateMint, standingSecret },
  rotation,
  operations: { extend, list, revoke, probe, replaced, adoptSecret, obtainSecret },
}: Opening<Config, Place>): void {
  const told: readonly (readonly [string, boolean, boolean])[] = [
    ["canRenew and extend", canRenew, extend !== undefined],
    ["canList and list", canList, list !== undefined],
    ["revocation and revoke", revocation !== "none", revoke !== undefined],
    ["revocation and probe", revocation !== "none", probe !== undefined],
    ["standingSecret and replaced", standingSecret === true, replaced !== undefined],
    ["standingSecret and revocation", standingSecret !== true || revocation === "none", true],
    ["rotation and adoptSecret", rotation === undefined || adoptSecret !== undefined, true],
    ["rotation and obtainSecret", rotation?.madeBy === "upstream", obtainSecret !== undefined],
    ["lateMint and list", canList || lateMint === "refused", true],
  ];
  const wrong = told.find(([, said, done]) => said !== done);
  if (wrong !== undefined) throw new TypeError(`type ${type}: ${wrong[0]} contradict each other`);
}
