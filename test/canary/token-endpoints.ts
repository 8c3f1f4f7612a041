import { systemClock } from "@mayfly/host";
import { createTestDpopKey } from "@mayfly/testkit";
import {
  accepted,
  BACKEND,
  codeOf,
  READER,
  textAt,
  type Installation,
  type Reply,
} from "../harness/index.ts";
import { tokenCanaries, type Canary } from "./canaries.ts";

type Fields = Readonly<Record<string, string>>;
type Send = (path: string, fields: Fields, headers?: Fields) => Promise<Reply>;

const TYPE = "urn:ietf:params:oauth:token-type:";
const ASSERTION = "urn:ietf:params:oauth:client-assertion-type:";

/**
 * Secrets in headers and forms of their own: proofs of possession, sound, used before, of another
 * request and damaged; assertions of clients; tokens that are asked about, and revoked.
 */
export async function askTokenEndpoints(
  mayfly: Installation,
  canaries: Canary[],
  send: Send,
): Promise<void> {
  const key = createTestDpopKey(systemClock);
  const sought = (what: string, token: string): string => {
    canaries.push(...tokenCanaries(`${what} ${canaries.length}`, token));
    return token;
  };
  const proof = (path: string, token: string | null = null): string =>
    sought("proof", key.proof("POST", `${mayfly.issuer}${path}`, token));
  const damaged = (token: string): string => sought("damaged", `${token.slice(0, -8)}AAAAAAAA`);
  const details = {
    type: "mayfly-task",
    goal: "sing",
    deadline: "10m",
    credentials: [{ role: READER, ttl: "5m" }],
  };
  const subject = sought("subject token", mayfly.svid("bee"));
  const exchange = {
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: subject,
    subject_token_type: `${TYPE}jwt`,
    authorization_details: JSON.stringify([details]),
  };

  const used = proof("/token");
  const granted = await send("/token", exchange, { dpop: used });
  accepted(granted, "an exchange with a proof");
  const taskToken = textAt(granted, "access_token");
  const refused = [
    await send("/token", exchange, { dpop: used }),
    await send("/token", exchange, { dpop: proof("/revoke") }),
    await send("/token", exchange, { dpop: damaged(proof("/token")) }),
  ];
  for (const reply of refused) {
    if (codeOf(reply) !== "invalid_dpop_proof") throw new Error(`answered ${reply.text}`);
  }
  const bound = { authorization: `DPoP ${taskToken}` };
  const heartbeat = `/v1/tasks/${textAt(granted, "task", "id")}/heartbeat`;
  await send(heartbeat, {}, { ...bound, dpop: damaged(proof(heartbeat, taskToken)) });
  await send(heartbeat, {}, { authorization: `Bearer ${taskToken}` });

  for (const kind of ["jwt-bearer", "jwt-spiffe"]) {
    for (const assertion of [sought("assertion", mayfly.svid("key")), damaged(subject)]) {
      const client = { client_assertion_type: `${ASSERTION}${kind}`, client_assertion: assertion };
      await send("/token", { ...exchange, ...client });
      await send("/introspect", { token: taskToken, ...client });
      await send("/revoke", { token: damaged(taskToken), ...client });
    }
  }
  for (const token of [taskToken, subject, damaged(taskToken), damaged(subject)]) {
    await send("/introspect", { token }, { authorization: `Bearer ${subject}` });
    await send("/introspect", { token }, { authorization: `Bearer ${damaged(subject)}` });
    await send("/introspect", { token: `${token}\u0000`, token_type_hint: token });
  }
  await send("/revoke", { token: taskToken });
  const ended = { ...bound, dpop: proof("/revoke", taskToken) };
  accepted(await send("/revoke", { token: taskToken }, ended), `the end of a task on ${BACKEND}`);
}
