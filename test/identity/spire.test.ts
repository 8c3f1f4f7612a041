import { afterAll, beforeAll, describe, expect, test } from "vitest";
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
import { postToken, type MtlsReply } from "./mtls-client.ts";
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

  const post = async (
    form: Readonly<Record<string, string>>,
    svid: WrittenSvid | null,
  ): Promise<MtlsReply> =>
    postToken(broker.api.url, form, {
      svid,
      bundle: (await own.x509()).bundle,
      serverId: botId,
    });
  const asItself = (clientId: string, svid: WrittenSvid | null): Promise<MtlsReply> =>
    post(
      { grant_type: "client_credentials", client_id: clientId, authorization_details: DETAILS },
      svid,
    );
  const byToken = (token: string): Promise<MtlsReply> =>
    post(
      {
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token: token,
        subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
        authorization_details: DETAILS,
      },
      null,
    );
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
    await trust(PARTNER, {
      trust_domain: PARTNER,
      bundle_endpoint: {
        url: partner.endpoint.url,
        profile: "https_spiffe",
        endpoint_spiffe_id: partner.endpoint.spiffeId,
        bootstrap_bundle: await partner.bundle(),
      },
      unsafe_allow_private_addresses: true,
    });
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

  test("an authority that SPIRE revokes is refused at once, and SVIDs of the new one count", async () => {
    const old = await own.x509();
    const idOf = async (which: string): Promise<string> => {
      const shown = await own.server("localauthority", "x509", "show", "-output", "json");
      const states = JSON.parse(shown) as Record<string, { readonly authority_id?: string }>;
      return states[which]?.authority_id ?? "";
    };
    const before = await idOf("active");
    await own.server("localauthority", "x509", "prepare");
    const prepared = await idOf("prepared");
    await own.server("localauthority", "x509", "activate", "-authorityID", prepared);
    await own.server("localauthority", "x509", "taint", "-authorityID", before);
    const next = await until("an SVID of the new authority", ROTATION_MS_MAX, async () => {
      const svid = await own.x509();
      return svid.cert === old.cert ? false : svid;
    });
    await own.server("localauthority", "x509", "revoke", "-authorityID", before);
    await until("the old authority to be refused", ROTATION_MS_MAX, async () => {
      return (await asItself(botId, old)).status === 401;
    });
    const reply = await asItself(botId, next);
    expect(reply.status, statusOf(reply)).toBe(200);
  });
});
