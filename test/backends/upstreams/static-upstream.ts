import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { accepted, listAt, type RunningBroker } from "../../harness/index.ts";
import { textIn, type Upstream } from "./upstream.ts";

/** No other permit counts for what outlives its lease. */
const POLICY = `
@id("bee-gets-the-key-for-all") @accepts("secret_outlives_the_lease")
permit (principal, action == Action::"issue", resource == Role::"static/one");
`;

/** An API with one key for all, which knows nothing of leases. */
export const staticUpstream: Upstream = {
  type: "static",
  server: null,
  outcome: "never",
  refusedBy: "a request to an API with one key for all",
  register: async ({ broker, put }) => {
    const secret = randomBytes(16).toString("hex");
    const server = createServer((request, response) => {
      const isKey = request.headers["authorization"] === `Bearer ${secret}`;
      response.writeHead(isKey ? 200 : 401).end();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const role = { hands_out_a_secret_that_cannot_be_revoked: true };
    await put("static", { type: "static", config: { secret } }, role);
    await permit(broker);
    return {
      version: "an API of the test's",
      tryCredential: async (data) => {
        const authorization = `Bearer ${textIn(data, "secret")}`;
        const answer = await fetch(`http://127.0.0.1:${port}`, { headers: { authorization } });
        await answer.body?.cancel();
        return answer.status === 200 ? "accepted" : "refused";
      },
      openSession: null,
      live: async () => 1,
      ownLogin: null,
      stop: async () => {
        server.close();
        server.closeAllConnections();
      },
    };
  },
};

/** Beside the policies that there are. */
async function permit({ api }: RunningBroker): Promise<void> {
  const path = "/v1/policies";
  const there = listAt(await api.admin("GET", path), "sources");
  const sources = [...there, { name: "static.cedar", text: POLICY }];
  accepted(await api.admin("PUT", path, { sources }), path);
}
