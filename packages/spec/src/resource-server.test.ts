import { describe, expect, it } from "vitest";
import { isResourceServer, type ResourceServerIdentity } from "./resource-server.ts";

const spiffe = (subject: string) =>
  ({ kind: "spiffe", issuer: "spiffe://acme.test", subject }) as const;
const oidc = (issuer: string, subject: string) => ({ kind: "oidc", issuer, subject }) as const;
const serverOf = (...identities: readonly ResourceServerIdentity[]) => ({
  enabled: true,
  identities,
});

describe("a resource server", () => {
  it("is whom its SPIFFE ID names, by whole segments where a star stands behind it", () => {
    const exact = serverOf({ spiffeId: "spiffe://acme.test/api" });
    const below = serverOf({ spiffeId: "spiffe://acme.test/api/*" });
    const seen = (id: string) =>
      [exact, below].map((server) => isResourceServer(server, spiffe(`spiffe://${id}`)));
    expect(seen("acme.test/api")).toEqual([true, false]);
    expect(seen("acme.test/api/reports")).toEqual([false, true]);
    expect(seen("acme.test/apis/reports")).toEqual([false, false]);
    expect(seen("acme.test.evil/api/reports")).toEqual([false, false]);
  });

  it("is a subject of one issuer, and not the same subject of another", () => {
    const server = serverOf({ issuer: "https://login.acme.test", subject: "reports-api" });
    expect(isResourceServer(server, oidc("https://login.acme.test", "reports-api"))).toBe(true);
    expect(isResourceServer(server, oidc("https://other.test", "reports-api"))).toBe(false);
    expect(isResourceServer(server, oidc("https://login.acme.test", "reports-apis"))).toBe(false);
  });

  it("of one kind is none of the other, whatever the other's text says", () => {
    const byId = serverOf({ spiffeId: "spiffe://acme.test/api" });
    const bySubject = serverOf({
      issuer: "spiffe://acme.test",
      subject: "spiffe://acme.test/api",
    });
    expect(isResourceServer(byId, oidc("https://x.test", "spiffe://acme.test/api"))).toBe(false);
    expect(isResourceServer(bySubject, spiffe("spiffe://acme.test/api"))).toBe(false);
  });

  it("is nobody while it is disabled, and anyone of several while not", () => {
    const identities = [
      { issuer: "https://login.acme.test", subject: "a" },
      { spiffeId: "spiffe://acme.test/b" },
    ];
    const b = spiffe("spiffe://acme.test/b");
    expect(isResourceServer({ enabled: true, identities }, b)).toBe(true);
    expect(isResourceServer({ enabled: false, identities }, b)).toBe(false);
  });
});
