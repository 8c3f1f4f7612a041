import { randomBytes } from "node:crypto";
import type { FakeState, FakeToken } from "./fake-vault-state.ts";

/** A dynamic engine at `database/creds/reader`, whose accounts are names with passwords. */
export interface FakeEngine {
  readonly accounts: Map<string, string>;
  /** Whether it fails to revoke. */
  fails: boolean;
  /** Of `pki/issue/agents`, by serial number. */
  readonly certificates: Map<string, FakeCertificate>;
}

interface FakeCertificate {
  readonly expiresAt: number;
  /** In seconds; 0: it is not revoked. */
  revokedAt: number;
}

/** The members of an answer that hands out a new certificate, which has no lease. */
export function makeCertificate({ certificates }: FakeEngine, ttl: unknown): object {
  const hex = randomBytes(8).toString("hex");
  const serial = (hex.match(/../g) ?? []).join(":");
  const expiresAt = Math.floor(Date.now() / 1_000) + Number.parseInt(String(ttl), 10);
  certificates.set(serial, { expiresAt, revokedAt: 0 });
  return {
    data: {
      serial_number: serial,
      expiration: expiresAt,
      certificate: `certificate ${serial}`,
      private_key: randomBytes(24).toString("base64url"),
    },
  };
}

/** The members of an answer that hands out a new account. */
export function makeAccount(state: FakeState, engine: FakeEngine, { value }: FakeToken): object {
  const username = `v-${randomBytes(9).toString("base64url")}`;
  const password = randomBytes(15).toString("base64url");
  engine.accounts.set(username, password);
  const id = `database/creds/reader/${randomBytes(12).toString("hex")}`;
  const now = Date.now();
  state.leases.set(id, {
    id,
    token: value,
    issuedAt: now,
    expiresAt: now + 3_600_000,
    tries: 0,
    nextTryAt: 0,
    end: () => {
      if (engine.fails) throw new Error("the engine fails");
      engine.accounts.delete(username);
    },
  });
  return {
    lease_id: id,
    renewable: true,
    lease_duration: 3_600,
    data: { username, password },
  };
}
