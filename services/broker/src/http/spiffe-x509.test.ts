import { beforeEach, describe, expect, it } from "vitest";
import { createTestX509Authority, type TestX509Authority } from "@mayfly/testkit";
import {
  createBrokerBench,
  ISSUER,
  type Answer,
  type BrokerBench,
} from "../testing/broker-bench.ts";
import { at, opened, postToken, tokenForm, TYPE } from "../testing/token-form.ts";
import type { CertificateChain } from "./peer-certificates.ts";

const BOT = "spiffe://acme.test/agent/bot";
const JWT_SPIFFE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
type Change = Readonly<Record<string, string | null>>;

let bench: BrokerBench;
let authority: TestX509Authority;
let shown: CertificateChain | null;

beforeEach(async () => {
  bench = await createBrokerBench({ peerCertificates: () => shown });
  authority = createTestX509Authority({ clock: bench.clock });
  await trust([authority]);
  shown = svidOf("bot");
});

/** As a platform team does it, with the JWT keys that the bench has anyway. */
async function trust(authorities: readonly TestX509Authority[]): Promise<void> {
  const bundle = bench.identities.trustDomain.bundle();
  const jwtKeys: readonly unknown[] = Array.isArray(bundle["keys"]) ? bundle["keys"] : [];
  const keys = [...jwtKeys, ...authorities.map((each) => each.bundleKey())];
  const config = { trust_domain: "acme.test", bundle: { keys } };
  await bench.admin("PUT", "/v1/trust/acme.test", { kind: "spiffe", config });
}

function svidOf(name: string, from = authority): CertificateChain {
  const names = [{ uniformResourceIdentifier: `spiffe://acme.test/agent/${name}` }];
  const [leaf = new Uint8Array(), ...others] = from.intermediate().issue({ names }).chain;
  return [leaf, ...others];
}

/** A client that acts for itself. */
const asItself = (change: Change = {}): Promise<Answer> =>
  postToken(
    bench,
    tokenForm("", {
      grant_type: "client_credentials",
      subject_token: null,
      subject_token_type: null,
      client_id: BOT,
      ...change,
    }),
  );
const refusal = (answer: Answer) => [answer.status, at(answer, "error"), at(answer, "where")];
const NOT_AUTHENTICATED = [401, "invalid_client", "client_id"];
const tasks = () => bench.ledger.inspect.tasks();

describe("a client that shows an X509-SVID", () => {
  it("opens a task as the workload of its certificate", async () => {
    const { id, leases } = opened(await asItself());
    expect(leases).toHaveLength(1);
    const [task] = tasks();
    expect([task?.id, task?.workload.subject, task?.workload.kind]).toEqual([id, BOT, "spiffe"]);
  });

  it("is the same caller as by its JWT-SVID", async () => {
    const { id } = opened(await asItself());
    const authorization_details = JSON.stringify([{ type: "mayfly-task", task: id }]);
    const svid = bench.identities.svid("bot");
    const drawn = await postToken(bench, tokenForm(svid, { authorization_details }));
    expect(opened(drawn).id).toBe(id);
    expect(opened(await asItself({ authorization_details })).id).toBe(id);
    shown = svidOf("other");
    const other = { client_id: "spiffe://acme.test/agent/other", authorization_details };
    expect(at(await asItself(other), "code")).toBe("not_found");
  });

  it("has to name its SPIFFE ID, and no other one", async () => {
    expect(refusal(await asItself({ client_id: null }))).toEqual([
      401,
      "invalid_client",
      "client_assertion",
    ]);
    for (const client_id of [
      `${BOT}s`,
      `${BOT}/x`,
      "spiffe://acme.test/agent",
      "spiffe://acme.test",
    ]) {
      expect(refusal(await asItself({ client_id }))).toEqual(NOT_AUTHENTICATED);
    }
    expect(tasks()).toEqual([]);
  });

  it("is nobody without the certificate, or with one that does not count", async () => {
    shown = null;
    expect((await asItself()).status).toBe(401);
    shown = svidOf("bot", createTestX509Authority({ clock: bench.clock }));
    expect(refusal(await asItself())).toEqual(NOT_AUTHENTICATED);
    const foreign = createTestX509Authority({ clock: bench.clock, trustDomain: "other.test" });
    shown = svidOf("bot", foreign);
    expect(refusal(await asItself())).toEqual(NOT_AUTHENTICATED);
    shown = [Buffer.from("no certificate")];
    expect(refusal(await asItself())).toEqual(NOT_AUTHENTICATED);
    expect(tasks()).toEqual([]);
  });

  it("is nobody over the same connection once its authority is out of the bundle", async () => {
    opened(await asItself());
    await trust([]);
    expect(refusal(await asItself())).toEqual(NOT_AUTHENTICATED);
    await trust([authority]);
    opened(await asItself());
  });

  it("is nobody over the same connection once its certificate has expired", async () => {
    opened(await asItself());
    await bench.clock.advance(301_000);
    expect((await asItself()).status).toBe(401);
  });

  it("may show a JWT-SVID besides, if that is of the same workload", async () => {
    const assertion = (name: string): Change => ({
      client_id: null,
      client_assertion_type: JWT_SPIFFE,
      client_assertion: bench.identities.svid(name, { claims: { aud: ISSUER } }),
    });
    opened(await asItself(assertion("bot")));
    expect((await asItself(assertion("other"))).status).toBe(401);
    // A certificate that no trust root vouches for is there for something else.
    shown = svidOf("bot", createTestX509Authority({ clock: bench.clock }));
    opened(await asItself(assertion("bot")));
  });

  it("is the actor of an exchange of somebody else's token, if it names itself", async () => {
    const person = bench.identities.oidc("alice");
    opened(await postToken(bench, tokenForm(person, { client_id: BOT })));
    const [task] = tasks();
    expect([task?.workload.subject, task?.verifiedInitiator === null]).toEqual([BOT, false]);
    const mallory = { client_id: "spiffe://acme.test/agent/mallory" };
    const refused = await postToken(bench, tokenForm(person, mallory));
    expect(refusal(refused)).toEqual(NOT_AUTHENTICATED);
  });

  it("is not passed over where its certificate does not arrive: nobody acts instead", async () => {
    shown = null;
    const named = tokenForm(bench.identities.oidc("alice"), { client_id: BOT });
    expect(refusal(await postToken(bench, named))).toEqual(NOT_AUTHENTICATED);
    const ofAnother = tokenForm(bench.identities.svid("other"), { client_id: BOT });
    expect(refusal(await postToken(bench, ofAnother))).toEqual(NOT_AUTHENTICATED);
    expect(tasks()).toEqual([]);
    // Its own token proves what client_id says, and so does its task's.
    const own = tokenForm(bench.identities.svid("bot"), { client_id: BOT });
    const { id, token } = opened(await postToken(bench, own));
    const draw = {
      subject_token_type: `${TYPE}access_token`,
      authorization_details: JSON.stringify([{ type: "mayfly-task", task: id }]),
    };
    opened(await postToken(bench, tokenForm(token, { client_id: BOT, ...draw })));
    const other = { client_id: "spiffe://acme.test/agent/other", ...draw };
    expect(refusal(await postToken(bench, tokenForm(token, other)))).toEqual(NOT_AUTHENTICATED);
  });

  it("sends no token with the grant for itself", async () => {
    const answer = await asItself({ subject_token: "x", subject_token_type: `${TYPE}jwt` });
    expect(answer.status).toBe(400);
  });
});
