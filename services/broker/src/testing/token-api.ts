import { createRemoteJWKSet, customFetch, jwtVerify, type JWTPayload } from "jose";
import { jwtBackend } from "@mayfly/backend-jwt";
import {
  createBrokerBench,
  ISSUER,
  type Answer,
  type BenchOptions,
  type BrokerBench,
} from "./broker-bench.ts";
import { registerDefaults } from "./registered.ts";
import { postToken, readerTask, textAt, tokenForm } from "./token-form.ts";

export const TOKEN_ISSUER = `${ISSUER}/backends/orders-api`;
export const AUDIENCE = "https://orders.acme.test";
export const OTHER_AUDIENCE = "https://stock.acme.test";
export const CALLER = "orders-api/caller";
export const BOUND = "orders-api/bound";
/** Who serves {@link AUDIENCE}, and nothing else. */
const SERVER = "spiffe://acme.test/agent/orders-server";
export const LEEWAY_SECONDS = 30;

const ROLE = { data_class: "internal", reversibility: "reversible", environment: "test" };
const POLICIES = `
@id("agents-call-orders")
permit (principal, action in Action::"credential", resource)
when { resource.backend_type == "jwt" };
@id("agents-read-orders")
permit (principal, action in Action::"credential", resource == Role::"orders-db/reader");
@id("the-reader-only-reads")
forbid (
  principal == Workload::"spiffe://acme.test/agent/reader",
  action in Action::"credential",
  resource
) when { context.grant.contains("scope=orders:write") };
`;

export const CONFIG = {
  audiences: [AUDIENCE, OTHER_AUDIENCE],
  verifier_leeway_seconds: LEEWAY_SECONDS,
};

/** A broker with a backend that signs tokens, and two roles of it. */
export async function createTokenBench(options: BenchOptions = {}): Promise<BrokerBench> {
  const bench = await createBrokerBench({ ...options, types: [jwtBackend], registered: false });
  await registerDefaults(bench);
  const put = async (path: string, body: unknown): Promise<void> => {
    const answer = await bench.admin("PUT", path, body);
    if (answer.status >= 300) throw new Error(`PUT ${path}: ${answer.text}`);
  };
  await put("/v1/backends/orders-api", { type: "jwt", config: CONFIG });
  await put("/v1/resource-servers/orders", {
    identities: [{ spiffe_id: SERVER }],
    audiences: [AUDIENCE],
  });
  await put(`/v1/roles/${CALLER}`, {
    ...ROLE,
    audience: [AUDIENCE, OTHER_AUDIENCE],
    scope: ["orders:read", "orders:write"],
    claims: { groups: ["agents"] },
    ttl_max: "10m",
  });
  await put(`/v1/roles/${BOUND}`, {
    ...ROLE,
    audience: AUDIENCE,
    scope: ["orders:read"],
    key_binding: "required",
  });
  await put("/v1/policies", { sources: [{ name: "tokens.cedar", text: POLICIES }] });
  return bench;
}

export const READ = { audience: AUDIENCE, scope: ["orders:read"] } as const;

/** A task of an agent that draws one access token. */
export function openWithToken(
  bench: BrokerBench,
  {
    agent = "bot",
    role = CALLER,
    params = READ,
    headers = {},
    change = {},
  }: {
    readonly agent?: string;
    readonly role?: string;
    readonly params?: Readonly<Record<string, unknown>>;
    readonly headers?: Readonly<Record<string, string>>;
    readonly change?: Readonly<Record<string, unknown>>;
  } = {},
): Promise<Answer> {
  const details = readerTask({ credentials: [{ role, params }], ...change });
  const body = tokenForm(bench.identities.svid(agent), {
    authorization_details: JSON.stringify([details]),
  });
  return postToken(bench, body, headers);
}

export const accessTokenIn = (answer: Answer): string =>
  textAt(answer, "credentials", 0, "data", "access_token");

/** As an API would: with nothing but the published keys. Introspects nothing. */
export async function verifyAsApi(
  bench: BrokerBench,
  token: string,
  audience = AUDIENCE,
): Promise<JWTPayload> {
  const keys = createRemoteJWKSet(new URL(`${TOKEN_ISSUER}/jwks`), {
    [customFetch]: async (url: string, init?: RequestInit) => bench.app.request(url, init),
  });
  const { payload } = await jwtVerify(token, keys, {
    typ: "at+jwt",
    issuer: TOKEN_ISSUER,
    audience,
    requiredClaims: ["exp", "iat", "sub", "jti", "client_id"],
    currentDate: new Date(bench.clock.now()),
    clockTolerance: LEEWAY_SECONDS,
  });
  return payload;
}
