import { startOpenbao } from "@mayfly/embedded";
import { CLEAR, textIn, there, type Upstream } from "./upstream.ts";

const SECRET = "secret/data/orders";
const TOKENS = "sys/leases/lookup/auth/token/create";

export const vaultUpstream: Upstream = {
  type: "vault",
  server: "openbao",
  outcome: "revoked",
  refusedBy: "a request with the token",
  register: async ({ put }) => {
    const server = there(await startOpenbao());
    const { host, port, rootToken: token } = server;
    const ask = (as: string, method: string, path: string, body?: object): Promise<Response> =>
      fetch(`http://${host}:${port}/v1/${path}`, {
        method,
        headers: { "x-vault-token": as },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    const manage = async (method: string, path: string, body?: object): Promise<unknown> => {
      const answer = await ask(token, method, path, body);
      const text = await answer.text();
      if (!answer.ok && answer.status !== 404) throw new Error(`${path}: ${answer.status} ${text}`);
      return text === "" ? null : (JSON.parse(text) as unknown);
    };
    const policy = `path "${SECRET}" { capabilities = ["read"] }`;
    await manage("POST", "sys/policies/acl/orders", { policy });
    await manage("POST", SECRET, { data: { total: 3 } });
    const config = { host, port, login: { token }, ...CLEAR };
    await put("vault", { type: "vault", config }, { token: { policies: ["orders"] } });
    const { version } = (await manage("GET", "sys/health")) as { readonly version: string };
    const leasesAt = async (path: string): Promise<readonly string[]> => {
      const found = (await manage("GET", `${path}?list=true`)) as {
        readonly data?: { readonly keys: readonly string[] };
      } | null;
      // The server has others, of its own root token.
      return (found?.data?.keys ?? []).filter((key) => key.startsWith("mf_"));
    };
    return {
      version: `OpenBao ${version}`,
      tryCredential: async (data) => {
        const answer = await ask(textIn(data, "token"), "GET", SECRET);
        const text = await answer.text();
        if (answer.ok) return "accepted";
        if (answer.status === 403) return "refused";
        throw new Error(`${SECRET}: ${answer.status} ${text}`);
      },
      openSession: null,
      live: async () =>
        (await leasesAt("auth/token/roles")).length + (await leasesAt(TOKENS)).length,
      ownLogin: async () => {
        const path = "auth/approle/role/mayfly";
        const anything = '["create","read","update","delete","list","sudo"]';
        const policy = `path "*" { capabilities = ${anything} }`;
        await manage("POST", "sys/policies/acl/mayfly", { policy });
        await manage("POST", "sys/auth/approle", { type: "approle" });
        await manage("POST", path, { token_policies: "mayfly", role_id: "mayfly" });
        const made = (await manage("POST", `${path}/secret-id`)) as {
          readonly data: { readonly secret_id: string };
        };
        const approle = { role_id: "mayfly", secret_id: made.data.secret_id };
        const own = { host, port, login: { approle }, ...CLEAR };
        await put("vault-own", { type: "vault", config: own }, { token: { policies: ["orders"] } });
        return {
          backend: "vault-own",
          tryFirst: async () => {
            const answer = await ask("", "POST", "auth/approle/login", approle);
            await answer.body?.cancel();
            if (answer.status === 400) return "refused";
            return answer.ok ? "accepted" : "broken_off";
          },
        };
      },
      stop: () => server.stop(),
    };
  },
};
