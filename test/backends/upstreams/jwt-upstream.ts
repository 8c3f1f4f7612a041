import { accepted, TRUST_DOMAIN } from "../../harness/index.ts";
import { textIn, type CredentialData, type Upstream, type Verdict } from "./upstream.ts";

const AUDIENCE = "https://orders.system.test";
const API = "orders-server";

/** An API that asks about each token; one that does not takes it until it expires. */
export const jwtUpstream: Upstream = {
  type: "jwt",
  server: null,
  outcome: "expired",
  refusedBy: "introspection, of an API that asks",
  register: async ({ mayfly, broker, put }) => {
    const config = { audiences: [AUDIENCE], verifier_leeway_seconds: 1 };
    const role = { audience: AUDIENCE, scope: ["orders:read"], ttl_max: "5m" };
    await put("jwt", { type: "jwt", config }, role);
    const path = "/v1/resource-servers/orders";
    accepted(
      await broker.api.admin("PUT", path, {
        identities: [{ spiffe_id: `spiffe://${TRUST_DOMAIN}/agent/${API}` }],
        audiences: [AUDIENCE],
      }),
      path,
    );
    const tryCredential = async (data: CredentialData): Promise<Verdict> => {
      const answer = await fetch(`${broker.api.url}/introspect`, {
        method: "POST",
        headers: { authorization: `Bearer ${mayfly.svid(API)}` },
        body: new URLSearchParams({ token: textIn(data, "access_token") }),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`/introspect: ${answer.status} ${text}`);
      const { active } = JSON.parse(text) as { readonly active: boolean };
      return active ? "accepted" : "refused";
    };
    return {
      version: "Mayfly's own",
      tryCredential,
      openSession: null,
      live: async (issued) => {
        let live = 0;
        for (const data of issued) if ((await tryCredential(data)) === "accepted") live++;
        return live;
      },
      ownLogin: null,
      stop: async () => undefined,
    };
  },
};
