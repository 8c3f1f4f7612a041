import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { z } from "zod";
import {
  createBackendKeyAdministration,
  createBackendKeys,
  defaultTaskTokensSettings,
} from "@mayfly/identity";
import {
  parseBackendId,
  Secret,
  type BackendHost,
  type BackendKeys,
  type CredentialBackend,
  type Issued,
  type LeaseId,
  type LeaseStanding,
} from "@mayfly/spec";
import {
  createFakeClock,
  createFakeSealer,
  createFakeSigningKeyStore,
  createRecordingLog,
  createTestBackendHost,
  seededRandom,
  type FakeClock,
} from "@mayfly/testkit";
import type { ContractUpstream } from "@mayfly/testkit/contract";
import { readHandle } from "../token-handle.ts";

/** What stands around an opened backend: what the ledger would say, and the tokens that are out. */
interface Surroundings {
  readonly leases: Map<LeaseId, LeaseStanding>;
  readonly tokens: Map<string, Issued["material"]>;
}
const surroundings = new WeakMap<BackendHost, Surroundings>();

/**
 * The type as the core uses it: a lease is live once its token was issued, and its end is in the
 * ledger before `revoke` or `recover` is called.
 */
export function playingTheCore(type: CredentialBackend): CredentialBackend {
  return {
    ...type,
    open: (config, host) => {
      const open = type.open(config, host);
      const around = surroundings.get(host);
      if (open.revocation !== "propagating" || around === undefined) {
        throw new Error("expected a type that propagates, on a host of a token upstream");
      }
      const { leases, tokens } = around;
      return {
        ...open,
        issue: async (plan, context) => {
          const issued = await open.issue(plan, context);
          leases.set(plan.leaseId, "live");
          tokens.set(plan.externalName, issued.material);
          return issued;
        },
        revoke: async (handle, context) => {
          leases.set(readHandle(handle).leaseId, "over");
          return open.revoke(handle, context);
        },
        recover: async (plan, checkpoint, context) => {
          leases.set(plan.leaseId, "over");
          return open.recover(plan, checkpoint, context);
        },
      };
    },
  };
}

const LEEWAY_SECONDS = 1;
const AUDIENCE = "https://orders.test";

/** APIs that verify with the published keys and introspect nothing, on a clock of the test's. */
export async function startTokenUpstream(): Promise<ContractUpstream> {
  const clock = createFakeClock();
  const gate = { blocked: Promise.resolve() };
  const own = gatedKeys(clock, gate);
  const { keys } = own;
  await keys.rotate("ES256", clock.now());
  const around: Surroundings = { leases: new Map(), tokens: new Map() };
  const shape = { audience: AUDIENCE };
  const tryCredential = (material: Issued["material"]) => verifyAsApi(keys, clock, material);
  return {
    clock,
    config: { audiences: [AUDIENCE], verifier_leeway_seconds: LEEWAY_SECONDS },
    get role() {
      return { ...shape };
    },
    params: {},
    route: null,
    host: (installation) => {
      const host = createTestBackendHost({
        clock,
        random: seededRandom("host"),
        log: createRecordingLog(),
        keys,
        standingOf: async (id) => around.leases.get(id) ?? "unknown",
        ...(installation === undefined ? {} : { installation }),
      });
      surroundings.set(host, around);
      return host;
    },
    pass: (ms) => clock.advance(ms),
    tryCredential,
    openSession: async (material) => ({
      alive: async () => (await tryCredential(material)) === "accepted",
      close: async () => undefined,
    }),
    liveNames: async () => {
      const tried = [...around.tokens].map(
        async ([name, material]) => [name, await tryCredential(material)] as const,
      );
      const all = await Promise.all(tried);
      return all.filter(([, verdict]) => verdict === "accepted").map(([name]) => name);
    },
    block: async () => {
      const held = Promise.withResolvers<undefined>();
      gate.blocked = held.promise.then(() => undefined);
      return {
        release: async () => {
          held.resolve(undefined);
          await clock.advance(0);
        },
      };
    },
    forgeMark: async () => Promise.reject(new Error("a token bears no mark")),
    weaken: async () => {
      shape.audience = "https://broker.test/";
      return {
        restore: async () => {
          shape.audience = AUDIENCE;
        },
      };
    },
    tokens: {
      keyIdOf: (token) => String(decodeProtectedHeader(token.expose("reply")).kid),
      retire: (keyId) => own.retire(keyId),
      retiredWithinSeconds: RETIRED_WITHIN_SECONDS,
    },
    stop: async () => undefined,
  };
}

/** What the issuer's page promises. */
const RETIRED_WITHIN_SECONDS = 5;

interface GatedKeys {
  readonly keys: BackendKeys;
  retire(keyId: string): Promise<void>;
}

function gatedKeys(clock: FakeClock, gate: { readonly blocked: Promise<void> }): GatedKeys {
  const options = {
    backendId: parseBackendId("tested-backend", "backend"),
    store: createFakeSigningKeyStore(),
    sealer: createFakeSealer(),
    clock,
    random: seededRandom("keys"),
    settings: { ...defaultTaskTokensSettings, tokenSecondsMax: 1200 },
  };
  const keys = createBackendKeys(options);
  const administration = createBackendKeyAdministration(options);
  const sign: BackendKeys["sign"] = async (type, claims) => {
    await gate.blocked;
    return keys.sign(type, claims);
  };
  return {
    keys: { ...keys, sign },
    retire: async (keyId) => {
      await administration.retire(keyId, { kind: "administrator", name: "alice" });
    },
  };
}

const keySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });

async function verifyAsApi(
  keys: BackendKeys,
  clock: FakeClock,
  { access_token: token }: Issued["material"],
): Promise<"accepted" | "refused"> {
  if (!(token instanceof Secret)) throw new Error("the token is no secret");
  const published = createLocalJWKSet(keySet.parse({ keys: await keys.published() }));
  try {
    await jwtVerify(token.expose("reply"), published, {
      typ: "at+jwt",
      issuer: "https://broker.test/backends/tested-backend",
      audience: AUDIENCE,
      requiredClaims: ["exp", "iat", "sub", "jti", "client_id"],
      currentDate: new Date(clock.now()),
      clockTolerance: LEEWAY_SECONDS,
    });
    return "accepted";
  } catch {
    return "refused";
  }
}
