import * as oauth from "oauth4webapi";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "@mayfly/embedded";
import {
  READER,
  startInstallation,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";

/** DPoP by a client that is not ours, against two brokers over one ledger that ask for nonces. */
let mayfly: Installation;
let first: RunningBroker;
let second: RunningBroker;
let issuer: string;
beforeAll(async () => {
  const port = await freePort();
  issuer = `http://127.0.0.1:${port}`;
  mayfly = await startInstallation({ settings: { MAYFLY_ISSUER: issuer } });
  const nonces = { MAYFLY_DPOP_NONCES: "true" };
  first = await mayfly.startBroker({ ...nonces, MAYFLY_LISTEN: `127.0.0.1:${port}` });
  second = await mayfly.startBroker(nonces);
  await mayfly.startWorker();
  await mayfly.register(first);
});
afterAll(() => mayfly[Symbol.asyncDispose]());

const insecure = { [oauth.allowInsecureRequests]: true } as const;
const client: oauth.Client = { client_id: "invoice-bot" };
const TYPE = "urn:ietf:params:oauth:token-type:";
const TASK = {
  type: "mayfly-task",
  goal: "Reconcile the October invoices",
  deadline: "5m",
  credentials: [{ role: READER }],
};

async function discover(): Promise<oauth.AuthorizationServer> {
  const url = new URL(issuer);
  const response = await oauth.discoveryRequest(url, { algorithm: "oauth2", ...insecure });
  return oauth.processDiscoveryResponse(url, response);
}

interface Agent {
  readonly as: oauth.AuthorizationServer;
  readonly DPoP: oauth.DPoPHandle;
}
const agent = async (): Promise<Agent> => ({
  as: await discover(),
  DPoP: oauth.DPoP(client, await oauth.generateKeyPair("ES256")),
});

/** As the client says: again once, where the broker asked for a nonce. */
async function exchange({ as, DPoP }: Agent, subject: string, type: string, details: unknown) {
  const send = async () => {
    const response = await oauth.genericTokenEndpointRequest(
      as,
      client,
      oauth.None(),
      "urn:ietf:params:oauth:grant-type:token-exchange",
      {
        subject_token: subject,
        subject_token_type: `${TYPE}${type}`,
        authorization_details: JSON.stringify([details]),
      },
      { ...insecure, DPoP },
    );
    return oauth.processGenericTokenEndpointResponse(as, client, response);
  };
  return send().catch((error: unknown) => {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return send();
  });
}

const svid = (name: string): string =>
  mayfly.trust.token({
    claims: { sub: `spiffe://${mayfly.trust.trustDomain}/agent/${name}`, aud: [issuer] },
  });

const taskOf = (result: oauth.TokenEndpointResponse): string => {
  const { task } = result as unknown as { readonly task: { readonly id: string } };
  return task.id;
};

test("a client's own DPoP binds the task token, through nonces, draws and our own API", async () => {
  const who = await agent();
  expect(who.as.dpop_signing_alg_values_supported).toContain("ES256");
  const opened = await exchange(who, svid("invoice-bot"), "jwt", TASK);
  expect(opened.token_type).toBe("dpop");
  const id = taskOf(opened);
  const drawn = await exchange(who, opened.access_token, "access_token", {
    type: "mayfly-task",
    task: id,
  });
  expect([drawn.token_type, taskOf(drawn)]).toEqual(["dpop", id]);
  const response = await oauth.protectedResourceRequest(
    drawn.access_token,
    "GET",
    new URL(`${issuer}/v1/tasks/${id}`),
    new Headers(),
    null,
    { ...insecure, DPoP: who.DPoP },
  );
  expect(await response.json()).toMatchObject({ id, state: "active" });
});

test("a bound token is refused as a bearer's, with a challenge, and with another's key", async () => {
  const who = await agent();
  const opened = await exchange(who, svid("invoice-bot"), "jwt", TASK);
  const url = new URL(`${issuer}/v1/tasks/${taskOf(opened)}`);
  const bearer = await oauth
    .protectedResourceRequest(opened.access_token, "GET", url, new Headers(), null, insecure)
    .catch((error: unknown) => error);
  expect(bearer).toBeInstanceOf(oauth.WWWAuthenticateChallengeError);
  const challenges = (bearer as oauth.WWWAuthenticateChallengeError).cause;
  expect(challenges.map(({ scheme }) => scheme)).toEqual(["bearer", "dpop"]);
  expect(challenges.map(({ parameters }) => parameters.error)).toEqual([
    "invalid_token",
    "invalid_token",
  ]);
  const other = await agent();
  await expect(
    exchange(other, opened.access_token, "access_token", {
      type: "mayfly-task",
      task: taskOf(opened),
    }),
  ).rejects.toMatchObject({ error: "invalid_request" });
});

test("a proof that one broker took is refused by the other, over the same ledger", async () => {
  const sent: Request[] = [];
  const who = await agent();
  const opened = await exchange(who, svid("invoice-bot"), "jwt", TASK);
  const path = `/v1/tasks/${taskOf(opened)}`;
  await oauth.protectedResourceRequest(
    opened.access_token,
    "GET",
    new URL(`${issuer}${path}`),
    new Headers(),
    null,
    {
      ...insecure,
      DPoP: who.DPoP,
      [oauth.customFetch]: async (url, options) => {
        sent.push(new Request(url, { headers: options.headers }));
        return fetch(url, options as RequestInit);
      },
    },
  );
  const headers = sent[0]?.headers ?? new Headers();
  const replayed = await fetch(`${second.api.url}${path}`, { headers });
  expect(await replayed.json()).toMatchObject({ status: 401, code: "invalid_dpop_proof" });
  // It is the replay alone that is refused there: what is fresh is taken.
  const fresh = await oauth.protectedResourceRequest(
    opened.access_token,
    "GET",
    new URL(`${issuer}${path}`),
    new Headers(),
    null,
    {
      ...insecure,
      DPoP: who.DPoP,
      [oauth.customFetch]: (url, options) =>
        fetch(url.replace(issuer, second.api.url), options as RequestInit),
    },
  );
  expect(fresh.status).toBe(200);
});
