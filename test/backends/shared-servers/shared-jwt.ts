import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from "jose";
import { textIn } from "../upstreams/upstream.ts";
import type { RunningServer, SharedServer } from "./shared-server.ts";

const AUDIENCE = "https://orders.system.test";
const LEEWAY_SECONDS = 1;

/** An API that verifies access tokens by itself: it knows the issuer's keys, and asks nobody. */
async function start(): Promise<RunningServer> {
  const config = { audiences: [AUDIENCE], verifier_leeway_seconds: LEEWAY_SECONDS };
  const role = { audience: AUDIENCE, scope: ["orders:read"], ttl_max: "5m" };
  return {
    type: "jwt",
    proxy: null,
    mintSends: [],
    register: ({ put }) => put("jwt", { type: "jwt", config }, role),
    liveNames: async () => [],
    accepts: async (data, { broker, mayfly }) => {
      const answer = await fetch(`${broker.api.url}/backends/jwt/jwks`);
      const keys = createLocalJWKSet((await answer.json()) as JSONWebKeySet);
      const issuer = `${mayfly.issuer}/backends/jwt`;
      const rules = { issuer, audience: AUDIENCE, clockTolerance: LEEWAY_SECONDS };
      return jwtVerify(textIn(data, "access_token"), keys, rules).then(
        () => true,
        () => false,
      );
    },
    stop: async () => undefined,
  };
}

export const sharedJwt: SharedServer = { type: "jwt", server: null, start };
