import { beforeEach, describe, expect, it } from "vitest";
import { createTestX509Authority, type TestX509Authority } from "@mayfly/testkit";
import { createBrokerBench, type Answer, type BrokerBench } from "../testing/broker-bench.ts";
import { READER } from "../testing/registered.ts";
import { OIDC_ISSUER } from "../testing/test-identities.ts";
import { at, opened, postToken, readerTask, textAt, tokenForm } from "../testing/token-form.ts";
import type { CertificateChain } from "./peer-certificates.ts";
import { decodeJwt } from "jose";

/* RFC 8705 section 2.1: a client with a certificate of its organisation's own authority. */
const ID = "x509:internal-ca#batch";
type Change = Readonly<Record<string, string | null>>;

let bench: BrokerBench;
let authority: TestX509Authority;
let shown: CertificateChain | null;

beforeEach(async () => {
  bench = await createBrokerBench({
    certificateBoundTokens: true,
    peerCertificates: () => shown,
  });
  authority = createTestX509Authority({ clock: bench.clock, change: { names: null } });
  const registered = await register();
  if (registered.status >= 300) throw new Error(registered.text);
  shown = certificateOf("batch.acme.test");
});

const register = (change: Readonly<Record<string, unknown>> = {}): Promise<Answer> =>
  bench.admin("PUT", "/v1/trust/internal-ca", {
    kind: "x509",
    config: {
      authorities: authority.pem,
      clients: [
        { client: "batch", tls_client_auth_san_dns: "batch.acme.test" },
        { client: "audit", tls_client_auth_san_dns: "audit.acme.test" },
      ],
      ...change,
    },
  });

function certificateOf(dNSName: string, from = authority): CertificateChain {
  const [leaf = new Uint8Array(), ...others] = from.issue({ names: [{ dNSName }] }).chain;
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
      client_id: ID,
      ...change,
    }),
  );
const refusal = (answer: Answer) => [answer.status, at(answer, "error"), at(answer, "where")];
const NOT_AUTHENTICATED = [401, "invalid_client", "client_id"];
const tasks = () => bench.ledger.inspect.tasks();

describe("a client that shows a certificate of a registered authority", () => {
  it("opens a task as itself, whose tokens are bound to that certificate", async () => {
    const answer = await asItself();
    const { id, token, leases } = opened(answer);
    expect(leases).toHaveLength(1);
    const [task] = tasks();
    expect(task?.id).toBe(id);
    expect(task?.workload).toMatchObject({
      trustRoot: "internal-ca",
      kind: "x509",
      issuer: "x509:internal-ca",
      subject: "batch",
    });
    const claims = decodeJwt(token);
    expect(claims).toMatchObject({ sub: ID, client_id: ID });
    expect(claims["cnf"]).toHaveProperty(["x5t#S256"]);
    const path = `/v1/tasks/${id}/heartbeat`;
    expect((await bench.call("POST", path, { token })).status).toBe(200);
    shown = certificateOf("batch.acme.test");
    expect((await bench.call("POST", path, { token })).status).toBe(401);
  });

  it("is whom policies name, and nobody else is", async () => {
    const text = `@id("batch") permit (
      principal == Workload::"${ID}", action == Action::"issue", resource == Role::"${READER}"
    ) when { principal.kind == "x509" && principal.trust_root == "internal-ca" };`;
    const sources = [{ name: "p.cedar", text }];
    expect((await bench.admin("PUT", "/v1/policies", { sources })).status).toBe(200);
    opened(await asItself());
    shown = certificateOf("audit.acme.test");
    const audit = await asItself({ client_id: "x509:internal-ca#audit" });
    expect(audit.body).toMatchObject({ error: "access_denied" });
  });

  it("draws on its task by its certificate, and on nobody else's", async () => {
    const details = readerTask({ credentials: [{ role: READER, issue: "later" }] });
    const { id } = opened(await asItself({ authorization_details: JSON.stringify([details]) }));
    const draw = JSON.stringify([
      { type: "mayfly-task", task: id, credentials: [{ role: READER }] },
    ]);
    expect(opened(await asItself({ authorization_details: draw })).leases).toHaveLength(1);
    shown = certificateOf("audit.acme.test");
    const other = { client_id: "x509:internal-ca#audit", authorization_details: draw };
    expect(at(await asItself(other), "code")).toBe("not_found");
  });

  it("is the actor of an exchange of somebody else's token", async () => {
    const person = bench.identities.oidc("alice");
    const { token } = opened(await postToken(bench, tokenForm(person, { client_id: ID })));
    expect(decodeJwt(token)).toMatchObject({
      sub: `${OIDC_ISSUER}#alice`,
      act: { sub: ID },
      client_id: ID,
    });
    const audit = { client_id: "x509:internal-ca#audit" };
    expect(refusal(await postToken(bench, tokenForm(person, audit)))).toEqual(NOT_AUTHENTICATED);
    // Else the person would hold the task that was to be the client's.
    shown = null;
    const unproven = await postToken(bench, tokenForm(person, { client_id: ID }));
    expect(refusal(unproven)).toEqual(NOT_AUTHENTICATED);
    expect(tasks()).toHaveLength(1);
  });

  it("acts for whom a token names it for in may_act, by its client_id or by issuer and name", async () => {
    const as = (mayAct: unknown): Promise<Answer> => {
      const person = bench.identities.oidc("alice", { claims: { may_act: mayAct } });
      return postToken(bench, tokenForm(person, { client_id: ID }));
    };
    opened(await as({ sub: ID }));
    opened(await as({ iss: "x509:internal-ca", sub: "batch" }));
    for (const other of [
      { sub: "x509:internal-ca#audit" },
      { sub: "batch" },
      { iss: OIDC_ISSUER, sub: ID },
      { iss: "x509:other-ca", sub: "batch" },
    ]) {
      expect((await as(other)).body).toMatchObject({ code: "invalid_identity" });
    }
  });

  it("introspects and revokes as itself", async () => {
    const { token } = opened(await asItself());
    const form = (path: string, client_id = ID): Promise<Answer> =>
      bench.call("POST", path, {
        body: new URLSearchParams({ token, client_id }).toString(),
        headers: { "content-type": "application/x-www-form-urlencoded" },
      });
    expect(at(await form("/introspect"), "active")).toBe(true);
    const stranger = await form("/introspect", "x509:internal-ca#audit");
    expect(stranger.status).toBe(401);
    expect((await form("/revoke")).status).toBe(200);
    expect(at(await form("/introspect"), "active")).toBe(false);
  });

  it("is one of the methods that the metadata names", async () => {
    const path = "/.well-known/oauth-authorization-server";
    const metadata = await bench.call("GET", path);
    for (const endpoint of ["token", "introspection", "revocation"]) {
      expect(at(metadata, `${endpoint}_endpoint_auth_methods_supported`)).toContain(
        "tls_client_auth",
      );
    }
    expect(at(metadata, "tls_client_certificate_bound_access_tokens")).toBe(true);
    // RFC 8705 section 5: without aliases, the endpoints are where mTLS is.
    expect(metadata.body).not.toHaveProperty("mtls_endpoint_aliases");
  });
});

describe("nobody is that client", () => {
  it("without the certificate, or with another's, or another authority's", async () => {
    shown = null;
    expect((await asItself()).status).toBe(401);
    for (const chain of [
      certificateOf("audit.acme.test"),
      certificateOf("batch.acme.test", createTestX509Authority({ clock: bench.clock })),
      [Buffer.from("no certificate")] as const,
    ]) {
      shown = chain;
      expect(refusal(await asItself())).toEqual(NOT_AUTHENTICATED);
    }
    expect(tasks()).toEqual([]);
  });

  it("without naming itself: a certificate may be there for something else", async () => {
    expect((await asItself({ client_id: null })).status).toBe(401);
    expect((await asItself({ client_id: "batch" })).status).toBe(401);
    const own = bench.identities.svid("bot");
    opened(await postToken(bench, tokenForm(own)));
    expect(tasks()[0]?.workload.kind).toBe("spiffe");
  });

  it("once it is taken out of the trust root, over the same connection", async () => {
    opened(await asItself());
    await register({
      clients: [{ client: "audit", tls_client_auth_san_dns: "audit.acme.test" }],
    });
    expect(refusal(await asItself())).toEqual(NOT_AUTHENTICATED);
    await register();
    opened(await asItself());
    await bench.admin("POST", "/v1/trust/internal-ca/disable", {});
    expect(refusal(await asItself())).toEqual(NOT_AUTHENTICATED);
  });

  it("once its certificate has expired, over the same connection", async () => {
    opened(await asItself());
    await bench.clock.advance(301_000);
    expect((await asItself()).status).toBe(401);
  });
});

it("a trust root says before it is registered what it means", async () => {
  const preview = await bench.admin("POST", "/v1/trust/internal-ca/preview", {
    kind: "x509",
    config: {
      authorities: authority.pem,
      clients: [{ client: "batch", tls_client_auth_san_dns: "batch.acme.test" }],
    },
  });
  expect(preview.status, preview.text).toBe(200);
  expect(textAt(preview, "issuer")).toBe("x509:internal-ca");
});
