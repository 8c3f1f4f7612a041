import { createHash, randomBytes } from "node:crypto";

/** What the fake keeps: tokens, token roles, policies and leases, as OpenBao 2.6 does. */

export interface FakeToken {
  readonly value: string;
  readonly accessor: string;
  readonly policies: readonly string[];
  /** Of the request that made it; its lease's id begins so. */
  readonly path: string;
  readonly parent: string | null;
  /** In ms; null: root's, which does not expire. */
  readonly expiresAt: number | null;
  readonly issuedAt: number;
  usesLeft: number;
  /** An answer that it reads, once. */
  readonly wrapped?: object;
}

export interface FakeLease {
  readonly id: string;
  readonly token: string;
  readonly issuedAt: number;
  expiresAt: number;
  /** By the server itself, of which the engine did none. */
  tries: number;
  nextTryAt: number;
  /** Throws where the engine cannot revoke. */
  readonly end: () => void;
}

export interface FakeTokenRole {
  readonly allowed_policies: readonly string[];
  readonly disallowed_policies_glob: readonly string[];
  readonly orphan: boolean;
  readonly renewable: boolean;
  readonly path_suffix: string;
  readonly token_explicit_max_ttl: number;
}

interface Rule {
  readonly path: string;
  readonly capabilities: readonly string[];
  /** Null: any. */
  readonly parameters: Readonly<Record<string, readonly unknown[]>> | null;
}

/** The server revokes what a revoked token had leased a moment later. */
const LAZY_MS = 20;
/** It gives up after so many tries, each twice as long after the one before as that one was. */
const TRIES_MAX = 6;
const RETRY_MS = 10_000;
/** What OpenBao kept of such a lease whose engine had to divide by zero. */
const GIVEN_UP =
  "out of retries: failed to revoke entry: resp: (*logical.Response)(nil) err: ERROR: " +
  "division by zero (SQLSTATE 22012)";

export class FakeState {
  readonly tokens = new Map<string, FakeToken>();
  readonly roles = new Map<string, FakeTokenRole>();
  readonly leases = new Map<string, FakeLease>();
  /** Ids of leases that the server has given up, and the error of its last try. */
  readonly irrevocable = new Map<string, string>();
  /** The greatest life of a token, in ms. */
  tokenMsMax = 768 * 3_600_000;
  /** How often a token was renewed. */
  renewals = 0;
  readonly #policies = new Map<string, readonly Rule[]>();
  readonly rootToken: string;

  constructor(rootToken = `root-${randomBytes(8).toString("hex")}`) {
    this.rootToken = rootToken;
    this.#keep({ policies: ["root"], path: "auth/token/root", parent: null, ttlMs: null, uses: 0 });
  }

  writePolicy(name: string, text: string): void {
    this.#policies.set(name, parsePolicy(text));
  }
  hasPolicy(name: string): boolean {
    return this.#policies.has(name) || name === "default";
  }

  makeToken(made: {
    readonly policies: readonly string[];
    readonly path: string;
    readonly parent: string | null;
    readonly ttlMs: number | null;
    readonly uses: number;
    readonly wrapped?: object;
  }): FakeToken {
    return this.#keep(made);
  }

  #keep(made: Parameters<FakeState["makeToken"]>[0]): FakeToken {
    const { ttlMs, uses, ...rest } = made;
    const isRoot = made.policies.includes("root");
    const now = Date.now();
    const token: FakeToken = {
      ...rest,
      value: isRoot ? this.rootToken : `s.${randomBytes(18).toString("base64url")}`,
      accessor: randomBytes(18).toString("base64url"),
      issuedAt: now,
      expiresAt: ttlMs === null ? null : now + ttlMs,
      usesLeft: uses === 0 ? Number.POSITIVE_INFINITY : uses,
    };
    this.tokens.set(token.value, token);
    if (ttlMs !== null) setTimeout(() => this.expire(), ttlMs + 5).unref();
    return token;
  }

  /** Of whoever presents it; a use of one that has few is counted. */
  use(value: string): FakeToken | null {
    this.expire();
    const token = this.tokens.get(value);
    // One that is used up is let through nowhere, though it is revoked a moment later.
    if (token === undefined || token.usesLeft <= 0) return null;
    token.usesLeft -= 1;
    if (token.usesLeft <= 0) setImmediate(() => this.revokeToken(value));
    return token;
  }

  byAccessor(accessor: string): FakeToken | undefined {
    this.expire();
    return [...this.tokens.values()].find((token) => token.accessor === accessor);
  }

  /** At once, with its children; what it leased is made overdue, and revoked a moment later. */
  revokeToken(value: string): void {
    if (!this.tokens.delete(value)) return;
    for (const { value: child, parent } of this.tokens.values()) {
      if (parent === value) this.revokeToken(child);
    }
    for (const lease of this.leases.values()) {
      if (lease.token === value) lease.expiresAt = Date.now();
    }
    // A timer may be a millisecond early, and nobody looks again.
    setTimeout(() => this.expire(), LAZY_MS + 5).unref();
  }

  /** False where its engine fails; it may be asked for one that was given up, too. */
  revokeLease(lease: FakeLease): boolean {
    try {
      lease.end();
    } catch {
      return false;
    }
    this.leases.delete(lease.id);
    this.irrevocable.delete(lease.id);
    return true;
  }

  /** Makes it overdue, and has the server try at once, however long its next try was off. */
  revokeLazily(lease: FakeLease): void {
    lease.expiresAt = Date.now();
    lease.nextTryAt = 0;
    setTimeout(() => this.expire(), LAZY_MS + 5).unref();
  }

  #tryToRevoke(lease: FakeLease): void {
    if (this.revokeLease(lease)) return;
    lease.tries += 1;
    lease.nextTryAt = Date.now() + RETRY_MS * 2 ** lease.tries;
    if (lease.tries >= TRIES_MAX) this.irrevocable.set(lease.id, GIVEN_UP);
  }

  expire(): void {
    const now = Date.now();
    for (const { value, expiresAt } of this.tokens.values()) {
      if (expiresAt !== null && expiresAt <= now) this.revokeToken(value);
    }
    for (const lease of this.leases.values()) {
      const isDue = lease.expiresAt <= now - LAZY_MS && lease.nextTryAt <= now;
      if (isDue && !this.irrevocable.has(lease.id)) this.#tryToRevoke(lease);
    }
  }

  /** Ids of all leases: those of tokens are named by a hash of the token. */
  leaseIds(): readonly string[] {
    this.expire();
    const ofTokens = [...this.tokens.values()].map((token) => leaseIdOf(token));
    return [...ofTokens, ...this.leases.keys()].toSorted();
  }

  capabilities(token: FakeToken, path: string): readonly string[] {
    if (token.policies.includes("root")) return ["root"];
    const rule = this.#ruleFor(token, path);
    return rule?.capabilities ?? ["deny"];
  }

  may(token: FakeToken, path: string, capability: string, body: object): boolean {
    if (token.policies.includes("root")) return true;
    const rule = this.#ruleFor(token, path);
    if (rule?.capabilities.includes(capability) !== true) return false;
    const { parameters } = rule;
    if (parameters === null) return true;
    return Object.entries(body).every(([name, value]) => {
      const allowed = parameters[name];
      if (allowed === undefined) return false;
      return allowed.length === 0 || allowed.includes(value);
    });
  }

  /** The longest path that fits, an exact one before a pattern. */
  #ruleFor(token: FakeToken, path: string): Rule | undefined {
    const rules = token.policies.flatMap((name) => this.#policies.get(name) ?? []);
    const length = (rule: Rule): number => rule.path.length + (rule.path.endsWith("*") ? 0 : 1_000);
    return rules
      .filter((rule) =>
        rule.path.endsWith("*") ? path.startsWith(rule.path.slice(0, -1)) : path === rule.path,
      )
      .toSorted((a, b) => length(b) - length(a))[0];
  }
}

export const leaseIdOf = ({ path, value }: FakeToken): string =>
  `${path}/h${createHash("sha256").update(value).digest("hex")}`;

/** The part of the policy language that the type's own policy and those of tests are written in. */
function parsePolicy(text: string): readonly Rule[] {
  return [...text.matchAll(/path "([^"]+)" \{([\s\S]*?)\n?\}(?=\s*(?:path|$))/g)].map(
    ([, path = "", body = ""]) => {
      const [, inner] = /allowed_parameters = \{([\s\S]*?)\}/.exec(body) ?? [];
      const [, list = "[]"] = /capabilities = (\[[^\]]*\])/.exec(body) ?? [];
      const lines = [...(inner ?? "").matchAll(/"([^"]+)" = (\[.*\])/g)];
      return {
        path,
        capabilities: JSON.parse(list) as string[],
        parameters:
          inner === undefined
            ? null
            : Object.fromEntries(
                lines.map(([, name = "", values = "[]"]) => [
                  name,
                  JSON.parse(values) as unknown[],
                ]),
              ),
      };
    },
  );
}
