import { beforeEach, describe, expect, it } from "vitest";
import { createTestX509Authority, type TestX509Authority } from "@mayfly/testkit";
import { createBrokerBench, type Answer, type BrokerBench } from "../testing/broker-bench.ts";
import { createRegisteredClient, type RegisteredClient } from "../testing/registered-client.ts";
import { at, opened, postToken, tokenForm } from "../testing/token-form.ts";
import type { CertificateChain } from "./peer-certificates.ts";

/** How clients authenticate themselves at `/introspect` and `/revoke`: as at `/token`. */

let bench: BrokerBench;
let client: RegisteredClient;
let authority: TestX509Authority;
let shown: CertificateChain | null;

type Members = Readonly<Record<string, string>>;
const BOT = "spiffe://acme.test/agent/bot";
const NO_SUBJECT = { subject_token: null, subject_token_type: null } as const;

beforeEach(async () => {
  shown = null;
  bench = await createBrokerBench({ peerCertificates: () => shown });
  client = createRegisteredClient(bench);
  await client.register();
  authority = createTestX509Authority({ clock: bench.clock });
  const { keys } = bench.identities.trustDomain.bundle() as { readonly keys: readonly unknown[] };
  const bundle = { keys: [...keys, authority.bundleKey()] };
  const config = { trust_domain: "acme.test", bundle };
  await bench.admin("PUT", "/v1/trust/acme.test", { kind: "spiffe", config });
});

const post = (path: string, form: Members): Promise<Answer> =>
  bench.call("POST", path, {
    body: new URLSearchParams(form).toString(),
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
const asItself = (members: Members): Promise<Answer> =>
  postToken(bench, tokenForm("", { grant_type: "client_credentials", ...NO_SUBJECT, ...members }));
const stateOf = (id: string): string | undefined =>
  bench.ledger.inspect.tasks().find((task) => task.id === id)?.state;
const refusal = (answer: Answer) => [answer.status, at(answer, "error"), at(answer, "where")];
const USED = [401, "invalid_client", "client_assertion"];

function show(name: string): void {
  const names = [{ uniformResourceIdentifier: `spiffe://acme.test/agent/${name}` }];
  const [leaf = new Uint8Array(), ...others] = authority.intermediate().issue({ names }).chain;
  shown = [leaf, ...others];
}

describe("a client with a key of its own", () => {
  it("introspects and revokes its task's token, by an assertion each", async () => {
    const { id, token } = opened(await asItself(client.form()));
    const looked = await post("/introspect", { token, ...client.form() });
    expect([at(looked, "active"), at(looked, "task")]).toEqual([true, id]);
    const revoked = await post("/revoke", { token, ...client.form() });
    expect([revoked.status, stateOf(id)]).toEqual([200, "cancelled"]);
  });

  it("uses each assertion once, at whichever of the endpoints", async () => {
    const first = client.assertion();
    const { id, token } = opened(await asItself(client.form(first)));
    for (const path of ["/introspect", "/revoke"]) {
      const again = await post(path, { token, ...client.form(first) });
      expect(refusal(again)).toEqual(USED);
      expect(at(again, "code")).toBe("assertion_replayed");
    }
    expect(stateOf(id)).toBe("active");
    for (const path of ["/introspect", "/revoke"]) {
      const once = client.assertion();
      expect((await post(path, { token: "x", ...client.form(once) })).status).toBe(200);
      expect(refusal(await post(path, { token, ...client.form(once) }))).toEqual(USED);
      const opening = await asItself(client.form(once));
      expect(refusal(opening)).toEqual(USED);
      expect(at(opening, "code")).toBe("assertion_replayed");
    }
    expect(stateOf(id)).toBe("active");
  });

  it("uses up none that is not its own", async () => {
    const { token } = opened(await asItself(client.form()));
    const jti = "of-a-stranger";
    const other = createRegisteredClient(bench).assertion({ jti });
    expect(refusal(await post("/introspect", { token, ...client.form(other) }))).toEqual(USED);
    const own = await post("/introspect", { token, ...client.form(client.assertion({ jti })) });
    expect(at(own, "active")).toBe(true);
  });

  it("is refused where the ledger cannot say that its assertion is new", async () => {
    const { id, token } = opened(await asItself(client.form()));
    bench.ledger.faults.refuse("recordTokenUse");
    const answer = await post("/revoke", { token, ...client.form() });
    expect([answer.status, at(answer, "error")]).toEqual([503, "temporarily_unavailable"]);
    expect(stateOf(id)).toBe("active");
  });

  it("is refused beside an X509-SVID: that one names a workload, and so somebody else", async () => {
    show("bot");
    for (const members of [{}, { client_id: client.clientId }, { client_id: BOT }]) {
      expect(refusal(await asItself({ ...client.form(), ...members }))).toEqual(USED);
    }
    // A certificate that no trust root vouches for is there for something else.
    authority = createTestX509Authority({ clock: bench.clock });
    show("bot");
    const { id } = opened(await asItself(client.form()));
    const task = bench.ledger.inspect.tasks().find((each) => each.id === id);
    expect(task?.workload.subject).toBe(client.clientId);
  });
});

describe("a client with an X509-SVID", () => {
  const spiffe = { client_id: BOT };

  it("introspects and revokes its task's token", async () => {
    show("bot");
    const { id, token } = opened(await asItself(spiffe));
    expect(at(await post("/introspect", { token, ...spiffe }), "task")).toBe(id);
    expect((await post("/revoke", { token, ...spiffe })).status).toBe(200);
    expect(stateOf(id)).toBe("cancelled");
  });

  it("is told nothing as another, and not taken for whom its certificate does not name", async () => {
    show("bot");
    const { id, token } = opened(await asItself(spiffe));
    expect(refusal(await post("/introspect", { token, client_id: `${BOT}s` }))).toEqual([
      401,
      "invalid_client",
      "client_id",
    ]);
    show("other");
    const other = { client_id: "spiffe://acme.test/agent/other" };
    expect((await post("/introspect", { token, ...other })).body).toEqual({ active: false });
    expect((await post("/revoke", { token, ...other })).status).toBe(200);
    expect(stateOf(id)).toBe("active");
  });

  it("is not who it is by an assertion that fails, or is another's", async () => {
    show("bot");
    const type = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
    for (const client_assertion of ["a.b.c", bench.identities.svid("other")]) {
      const form = { ...spiffe, client_assertion_type: type, client_assertion };
      expect(refusal(await asItself(form))).toEqual(USED);
      expect(refusal(await post("/introspect", { token: "x", ...form }))).toEqual(USED);
    }
  });
});
