import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Secret, type Issued } from "@mayfly/spec";
import {
  createFakeClock,
  createRecordingLog,
  createTestBackendHost,
  seededRandom,
} from "@mayfly/testkit";
import type { ContractUpstream } from "@mayfly/testkit/contract";

/** An API with one key for all, which knows nothing of leases, and whoever keeps that key. */
export async function startKeyedApi(first: string): Promise<ContractUpstream> {
  const clock = createFakeClock();
  const today = { key: first };
  const server = createServer((request, response) => {
    const isKey = request.headers["authorization"] === `Bearer ${today.key}`;
    response.writeHead(isKey ? 200 : 401).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const configOf = (secret: string) => ({ secret, secret_name: "api_key" });
  const never = (what: string) => async (): Promise<never> => {
    throw new Error(`${what}: what is standing has none`);
  };
  return {
    clock,
    config: configOf(first),
    role: { hands_out_a_secret_that_cannot_be_revoked: true },
    params: {},
    route: null,
    host: (installation = "contract") =>
      createTestBackendHost({
        clock,
        random: seededRandom("host"),
        log: createRecordingLog(),
        installation,
      }),
    pass: (ms) => clock.advance(ms),
    tryCredential: async ({ api_key: key }: Issued["material"]) => {
      const authorization = `Bearer ${key instanceof Secret ? key.expose("upstream") : "none"}`;
      const answer = await fetch(`http://127.0.0.1:${port}`, { headers: { authorization } });
      await answer.body?.cancel();
      return answer.status === 200 ? "accepted" : "refused";
    },
    // Nothing bears a name, however many were handed it.
    liveNames: async () => [],
    openSession: never("a session of its own"),
    block: never("a call to hold back"),
    forgeMark: never("a mark"),
    weaken: never("a right"),
    standing: {
      replace: async () => {
        today.key = `${today.key}-next`;
        return configOf(today.key);
      },
    },
    stop: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
