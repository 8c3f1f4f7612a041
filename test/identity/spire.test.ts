import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { createTestDpopKey, createTestX509Authority, type TestDpopKey } from "@mayfly/testkit";
import { isInstalled } from "@mayfly/testkit/vitest";
import {
  accepted,
  READER,
  startInstallation,
  TRUST_DOMAIN,
  until,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import { startAskingEndpoint } from "./asking-endpoint.ts";
import {
  KeptOpen,
  postToken,
  sendOverTls,
  type MtlsOptions,
  type MtlsReply,
} from "./mtls-client.ts";
import { secondsLeft } from "./seconds-left.ts";
import { startSpireDomain, type SpireDomain, type WrittenSvid } from "./spire-domain.ts";

const PARTNER = "partner.test";
const ISSUER = "https://mayfly.system.test";
const DETAILS = JSON.stringify([
  {
    type: "mayfly-task",
    goal: "read orders",
    deadline: "5m",
    credentials: [{ role: READER }],
  },
]);
const POLICIES = `
@id("both-domains-use-orders")
permit (principal, action in Action::"credential", resource)
when { ["${TRUST_DOMAIN}", "${PARTNER}"].contains(principal.trust_root) };
`;
/** An SVID lives for a minute, and is replaced when half of it is over. */
const ROTATION_MS_MAX = 120_000;
/** So long that what is refused cannot have expired. */
const LONG_SECONDS = 1200;

const hasSpire = await isInstalled("spire");

describe.skipIf(!hasSpire)("real SPIRE", () => {
  let own: SpireDomain;
  let partner: SpireDomain;
  let mayfly: Installation;
  let plain: RunningBroker;
  let broker: RunningBroker;
  let botId: string;
  let partnerId: string;
  const started = new AsyncDisposableStack();

  const trust = async (name: string, config: Record<string, unknown>): Promise<void> =>
    accepted(await plain.api.admin("PUT", `/v1/trust/${name}`, { kind: "spiffe", config }), name);

  const trustEndpoint = async (url: string, spiffeId: string, more: object = {}): Promise<void> =>
    trust(PARTNER, {
      trust_domain: PARTNER,
      bundle_endpoint: {
        url,
        profile: "https_spiffe",
        endpoint_spiffe_id: spiffeId,
        bootstrap_bundle: await partner.bundle(),
        ...more,
      },
      unsafe_allow_private_addresses: true,
    });

  beforeAll(async () => {
    own = started.use(await startSpireDomain(TRUST_DOMAIN));
    partner = started.use(await startSpireDomain(PARTNER));
    await own.federate(partner);
    botId = await own.register("/agent/bot", partner);
    partnerId = await partner.register("/agent/visitor");
    mayfly = started.use(await startInstallation());
    plain = await mayfly.startBroker();
    await mayfly.register(plain);
    await mayfly.startWorker();
    const sources = [{ name: "orders.cedar", text: POLICIES }];
    accepted(await plain.api.admin("PUT", "/v1/policies", { sources }), "policies");
    await trust(TRUST_DOMAIN, { trust_domain: TRUST_DOMAIN, workload_api: true });
    await trust(PARTNER, { trust_domain: PARTNER, workload_api: true });
    broker = await mayfly.startBroker({
      MAYFLY_WORKLOAD_API: own.socket,
      MAYFLY_TLS_FROM_WORKLOAD_API: "true",
    });
  });
  afterAll(() => started.disposeAsync());

  const optionsWith = async (svid: WrittenSvid | null): Promise<MtlsOptions> => ({
    svid,
    bundle: (await own.x509()).bundle,
    serverId: botId,
  });
  const post = async (
    form: Readonly<Record<string, string>>,
    svid: WrittenSvid | null,
  ): Promise<MtlsReply> => postToken(broker.api.url, form, await optionsWith(svid));
  const formOf = (clientId: string): Readonly<Record<string, string>> => ({
    grant_type: "client_credentials",
    client_id: clientId,
    authorization_details: DETAILS,
  });
  const asItself = (clientId: string, svid: WrittenSvid | null): Promise<MtlsReply> =>
    post(formOf(clientId), svid);
  const tokenForm = (token: string): Readonly<Record<string, string>> => ({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: token,
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    authorization_details: DETAILS,
  });
  const byToken = (token: string): Promise<MtlsReply> => post(tokenForm(token), null);
  /** As whoever has got all that it needs already, by the bundle of then. */
  const askingNobody = (bundle: string) => {
    const options = (svid: WrittenSvid | null) => ({ svid, bundle, serverId: botId });
    return {
      byX509: (id: string, svid: WrittenSvid) =>
        postToken(broker.api.url, formOf(id), options(svid)),
      byJwt: async (token: string): Promise<number> =>
        (await postToken(broker.api.url, tokenForm(token), options(null))).status,
    };
  };
  const statusOf = (reply: MtlsReply): string => `${reply.status} ${reply.text.slice(0, 200)}`;

  test("an X509-SVID and a JWT-SVID each open a task and get a credential", async () => {
    const byCertificate = await asItself(botId, await own.x509());
    expect(byCertificate.status, statusOf(byCertificate)).toBe(200);
    const byJwt = await byToken(await own.jwt(ISSUER));
    expect(byJwt.status, statusOf(byJwt)).toBe(200);
  });

  test("workloads of a federated domain do so too, each by its own domain's bundle", async () => {
    const byCertificate = await asItself(partnerId, await partner.x509());
    expect(byCertificate.status, statusOf(byCertificate)).toBe(200);
    const byJwt = await byToken(await partner.jwt(ISSUER));
    expect(byJwt.status, statusOf(byJwt)).toBe(200);
    // Nobody is whom the certificate does not name.
    expect((await asItself(botId, await partner.x509())).status).toBe(401);
    expect((await asItself(botId, null)).status).toBe(401);
  });

  test("a token for another audience, and an id of the other domain, are refused", async () => {
    expect((await byToken(await own.jwt("https://other.test"))).status).toBe(400);
    const other = "https://other.test";
    expect((await byToken(await partner.jwt(other))).status).toBe(400);
  });

  test("a bundle by the https_spiffe endpoint of a SPIRE server counts as well", async () => {
    await trustEndpoint(partner.endpoint.url, partner.endpoint.spiffeId);
    const byCertificate = await asItself(partnerId, await partner.x509());
    expect(byCertificate.status, statusOf(byCertificate)).toBe(200);
    const byJwt = await byToken(await partner.jwt(ISSUER));
    expect(byJwt.status, statusOf(byJwt)).toBe(200);
    await trust(PARTNER, { trust_domain: PARTNER, workload_api: true });
  });

  test("SVIDs rotate under it: the workload's, and the one that the broker serves with", async () => {
    const first = await own.x509();
    const { servedBy } = await asItself(botId, first);
    await until("another SVID of workload and broker", ROTATION_MS_MAX, async () => {
      const next = await own.x509();
      if (next.cert === first.cert) return false;
      const reply = await asItself(botId, next);
      expect(reply.status, statusOf(reply)).toBe(200);
      return reply.servedBy !== servedBy;
    });
  });

  test("a bundle endpoint that asks is shown the broker's own SVID, at each look the newest", async () => {
    const [svid, clients] = [await partner.x509(), (await own.x509()).bundle];
    const bundle = await partner.bundle();
    await using endpoint = await startAskingEndpoint({ svid, clients, bundle });
    await trustEndpoint(endpoint.url, partnerId, { client_svid: true });
    const path = `/v1/trust/${PARTNER}/test`;
    const headers = { authorization: `Bearer ${mayfly.adminToken}` };
    const look = async (): Promise<unknown> => {
      endpoint.serveWith(await partner.x509());
      const request = { method: "POST", path, headers };
      return (await sendOverTls(broker.api.url, request, await optionsWith(null))).body;
    };
    expect(await look()).toMatchObject({ fetched: true, problem: null });
    const [first] = endpoint.shown;
    expect(first?.spiffeId).toBe(botId);
    await until("another SVID to be shown", ROTATION_MS_MAX, async () => {
      expect(await look()).toMatchObject({ fetched: true, problem: null });
      return endpoint.shown.at(-1)?.fingerprint !== first?.fingerprint;
    });
    expect(new Set(endpoint.shown.map(({ spiffeId }) => spiffeId))).toEqual(new Set([botId]));
    // What it got so is what counts.
    const reply = await asItself(partnerId, await partner.x509());
    expect(reply.status, statusOf(reply)).toBe(200);
    // Who has no agent shows nothing, and is told nothing.
    const before = endpoint.shown.length;
    expect((await plain.api.admin("POST", path)).body).toMatchObject({ fetched: false });
    expect(endpoint.shown).toHaveLength(before);
    await trust(PARTNER, { trust_domain: PARTNER, workload_api: true });
  });

  test("an X509-SVID over mTLS and DPoP together: the task token is bound to the key", async () => {
    const key = createTestDpopKey(systemClock);
    const options = await optionsWith(await own.x509());
    const dpop = key.proof("POST", `${ISSUER}/token`);
    const opened = await postToken(broker.api.url, formOf(botId), options, { dpop });
    expect(opened.status, statusOf(opened)).toBe(200);
    const {
      access_token: token,
      token_type,
      task,
    } = opened.body as {
      readonly access_token: string;
      readonly token_type: string;
      readonly task: { readonly id: string };
    };
    expect(token_type).toBe("DPoP");
    const path = `/v1/tasks/${task.id}`;
    const look = async (headers: Readonly<Record<string, string>>): Promise<number> => {
      const reply = await sendOverTls(broker.api.url, { method: "GET", path, headers }, options);
      return reply.status;
    };
    const withProof = (by: TestDpopKey): Readonly<Record<string, string>> => ({
      authorization: `DPoP ${token}`,
      dpop: by.proof("GET", `${ISSUER}${path}`, token),
    });
    expect(await look(withProof(key))).toBe(200);
    // The certificate is the workload's own, and still is not the key that the token is bound to.
    expect(await look({ authorization: `Bearer ${token}` })).toBe(401);
    expect(await look(withProof(createTestDpopKey(systemClock)))).toBe(401);
  });

  test("an authority that SPIRE revokes is refused at once, over an open connection too", async () => {
    await own.lengthen("/agent/bot", LONG_SECONDS);
    const old = await until("an SVID that lives long", ROTATION_MS_MAX, async () => {
      const svid = await own.x509();
      return secondsLeft(svid) > LONG_SECONDS / 2 ? svid : false;
    });
    const authority = await own.prepareAuthority("x509");
    await authority.activate();
    const next = await until("an SVID of the new authority", ROTATION_MS_MAX, async () => {
      const svid = await own.x509();
      return svid.cert === old.cert ? false : svid;
    });
    using agent = new KeptOpen(botId);
    const sessions: Buffer[] = [];
    const options = {
      ...(await optionsWith(old)),
      agent,
      onSession: (session: Buffer) => {
        sessions.push(session);
      },
    };
    const overOne = (): Promise<MtlsReply> => postToken(broker.api.url, formOf(botId), options);
    // Tainted is not revoked: until then it counts.
    const { port, status } = await overOne();
    expect(status).toBe(200);
    // Meanwhile asked without a pause: a server closes what is idle.
    const revoked = authority.revoke();
    await until("the old authority to be refused", ROTATION_MS_MAX, async () => {
      const refused = await overOne();
      expect(refused.port).toBe(port);
      return refused.status === 401;
    });
    await revoked;
    expect(secondsLeft(old)).toBeGreaterThan(LONG_SECONDS / 4);
    // A session of before neither exists, nor would it bring the certificate back.
    const again = await optionsWith(old);
    const [session] = sessions;
    const resuming = session === undefined ? again : { ...again, session };
    const resumed = await postToken(broker.api.url, formOf(botId), resuming);
    expect([resumed.status, resumed.isResumed]).toEqual([401, false]);
    const reply = await asItself(botId, next);
    expect(reply.status, statusOf(reply)).toBe(200);
  });

  test("a JWT authority that SPIRE revokes is refused at once, and tokens of the next count", async () => {
    const old = await until("a JWT-SVID that lives long", ROTATION_MS_MAX, async () => {
      const token = await own.jwt(ISSUER);
      return secondsLeft(token) > LONG_SECONDS / 2 ? token : false;
    });
    expect((await byToken(old)).status).toBe(200);
    const authority = await own.prepareAuthority("jwt");
    await authority.activate();
    const next = await until("a JWT-SVID of the new authority", ROTATION_MS_MAX, async () => {
      const token = await own.jwt(ISSUER);
      return token === old ? false : token;
    });
    expect((await byToken(old)).status).toBe(200);
    await authority.revoke();
    await until("the old authority to be refused", ROTATION_MS_MAX, async () => {
      return (await byToken(old)).status === 400;
    });
    expect(secondsLeft(old)).toBeGreaterThan(LONG_SECONDS / 4);
    const reply = await byToken(next);
    expect(reply.status, statusOf(reply)).toBe(200);
  });

  test("while the agent is dead what it told last counts, and nothing newer; then it is followed again", async () => {
    const [svid, token] = [await own.x509(), await own.jwt(ISSUER)];
    const { byX509, byJwt } = askingNobody(svid.bundle);
    const withSvid = () => byX509(botId, svid);
    const { servedBy, status } = await withSvid();
    expect([status, await byJwt(token)]).toEqual([200, 200]);
    await own.agent.kill();
    const authority = await own.prepareAuthority("jwt");
    await authority.activate();
    const next = await own.mintJwt("/agent/bot", ISSUER);
    const { pem } = createTestX509Authority({
      clock: systemClock,
      trustDomain: TRUST_DOMAIN,
    }).issue({ names: [{ uniformResourceIdentifier: botId }] });
    expect([(await withSvid()).status, await byJwt(token)]).toEqual([200, 200]);
    expect(await byJwt(next)).toBe(400);
    expect((await byX509(botId, { ...svid, ...pem })).status).toBe(401);
    // How long that goes on is the trust root's to say.
    const config = { trust_domain: TRUST_DOMAIN, workload_api: true };
    await trust(TRUST_DOMAIN, { ...config, stale_keys_seconds_max: 0 });
    await until("what it told last to count no more", ROTATION_MS_MAX, async () => {
      return (await withSvid()).status === 401 && (await byJwt(token)) === 400;
    });
    await trust(TRUST_DOMAIN, config);
    await own.agent.start();
    await until("the next authority to count", ROTATION_MS_MAX, async () => {
      return (await byJwt(next)) === 200;
    });
    expect(await byJwt(token)).toBe(200);
    await until("the broker to serve with another SVID", ROTATION_MS_MAX, async () => {
      return (await withSvid()).servedBy !== servedBy;
    });
    await authority.revoke();
    await until("the old authority to be refused", ROTATION_MS_MAX, async () => {
      return (await byJwt(token)) === 400;
    });
    expect(secondsLeft(token)).toBeGreaterThan(0);
    expect([(await withSvid()).status, await byJwt(next)]).toEqual([200, 200]);
  });

  test("an authority that a federated domain revokes is refused, and its next one counts", async () => {
    await partner.lengthen("/agent/visitor", LONG_SECONDS);
    const old = await until("an SVID that lives long", ROTATION_MS_MAX, async () => {
      const svid = await partner.x509();
      return secondsLeft(svid) > LONG_SECONDS / 2 ? svid : false;
    });
    expect((await asItself(partnerId, old)).status).toBe(200);
    const authority = await partner.prepareAuthority("x509");
    // Who federates looks once a minute; one that signs before it is known ends the federation.
    await until("the other server to know of it", ROTATION_MS_MAX, async () => {
      return (await own.authoritiesOf(partner)) === 2;
    });
    await authority.activate();
    const next = await until("an SVID of the new authority", ROTATION_MS_MAX, async () => {
      const svid = await partner.x509();
      return svid.cert === old.cert ? false : svid;
    });
    await authority.revoke();
    await until("the old authority to be refused", ROTATION_MS_MAX, async () => {
      return (await asItself(partnerId, old)).status === 401;
    });
    expect(secondsLeft(old)).toBeGreaterThan(LONG_SECONDS / 4);
    const reply = await asItself(partnerId, next);
    expect(reply.status, statusOf(reply)).toBe(200);
    // It is the partner's alone: the domain's own workloads go on as before.
    expect((await asItself(botId, await own.x509())).status).toBe(200);
  });

  test("a federated bundle that is emptied, loses a key or is left out counts so at once", async () => {
    const [svid, token] = [await partner.x509(), await partner.jwt(ISSUER)];
    const bundle = await partner.bundle();
    const keys = (bundle["keys"] ?? []) as readonly { readonly use: string }[];
    // SPIRE's own command cannot be asked while a federated bundle is empty.
    const mine = await own.x509();
    const { byX509, byJwt } = askingNobody(mine.bundle);
    const told = async (what: string, x509: number, jwt: number): Promise<void> => {
      await until(what, ROTATION_MS_MAX, async () => {
        const { status } = await byX509(partnerId, svid);
        return status === x509 && (await byJwt(token)) === jwt;
      });
      expect((await byX509(botId, mine)).status).toBe(200);
    };
    await told("both to count", 200, 200);
    await own.setBundleOf(partner, { ...bundle, keys: [] });
    await told("neither to count of an empty bundle", 401, 400);
    await own.setBundleOf(partner, bundle);
    await told("both to count again", 200, 200);
    await own.setBundleOf(partner, {
      ...bundle,
      keys: keys.filter(({ use }) => use !== "jwt-svid"),
    });
    await told("no JWT-SVID to count without its key", 200, 400);
    await own.setBundleOf(partner, bundle);
    await told("both to count once more", 200, 200);
    await own.dissociate(partner);
    await told("neither to count of a domain that is left out", 401, 400);
    expect(secondsLeft(svid)).toBeGreaterThan(0);
    expect(secondsLeft(token)).toBeGreaterThan(0);
  });
});
