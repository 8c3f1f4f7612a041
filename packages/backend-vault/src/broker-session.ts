import { readFile } from "node:fs/promises";
import { Secret, type BackendHost, type CallContext } from "@mayfly/spec";
import { z } from "zod";
import type { LoginSettings } from "./server-settings.ts";
import type { VaultApi } from "./vault-api.ts";
import { VaultFailure } from "./vault-failure.ts";

/** Reads a file that a platform keeps a token in. */
export type ReadTokenFile = (path: string) => Promise<Secret>;

const TOKEN_FILE_BYTES_MAX = 16 * 1024;

export const readTokenFile: ReadTokenFile = async (path) => {
  let text: string;
  try {
    text = (await readFile(path, "utf8")).trim();
  } catch {
    throw new VaultFailure("not_sent", "the file of the token cannot be read");
  }
  if (text === "" || text.length > TOKEN_FILE_BYTES_MAX) {
    throw new VaultFailure("not_sent", "the file of the token does not hold one");
  }
  return Secret.of(text);
};

/** A 403 may mean that the token was revoked, but not of one that is as young as this. */
const RELOGIN_AFTER_MS = 10_000;

/** A refused login is not tried again for so long: a server locks out who fails too often. */
const REFUSED_LOGIN_MS = 5_000;

interface Held {
  readonly token: Secret;
  readonly sinceMs: number;
  /** When it is to be renewed, or another one to be got; null: it does not expire. */
  readonly refreshAtMs: number | null;
  readonly renewable: boolean;
}

type Way = () => Promise<Held>;

const isReplaced = (secret: string, previous: string | undefined): previous is string =>
  previous !== undefined && previous !== secret;

const auth = z.object({
  auth: z.object({
    client_token: z.string().min(1),
    lease_duration: z.int().min(0),
    renewable: z.boolean(),
  }),
});
const own = z.object({ data: z.object({ ttl: z.int().min(0), renewable: z.boolean() }) });
const renewed = z.object({
  auth: z.object({ lease_duration: z.int().min(0), renewable: z.boolean() }),
});

/** The broker's own token: got when it is first needed, one login at a time. */
export class BrokerSession {
  readonly #api: VaultApi;
  readonly #login: LoginSettings;
  readonly #host: BackendHost;
  readonly #context: CallContext;
  readonly #readFile: ReadTokenFile;
  #held: Held | null = null;
  #getting: Promise<Held> | null = null;
  #refused: { readonly atMs: number; readonly failure: VaultFailure } | null = null;

  constructor(
    api: VaultApi,
    login: LoginSettings,
    host: BackendHost,
    closing: AbortSignal,
    readFile: ReadTokenFile,
  ) {
    this.#api = api;
    this.#login = login;
    this.#host = host;
    // Whoever asked first may give up; the others still wait for the same login.
    this.#context = { clock: host.clock, signal: closing, traceId: "" };
    this.#readFile = readFile;
  }

  /**
   * Does the work with the token, and once more with a new one if the server refused: a refused
   * call did nothing, and the token may have been revoked since it was got.
   */
  async use<T>(work: (token: Secret) => Promise<T>): Promise<T> {
    const held = await this.#current();
    try {
      return await work(held.token);
    } catch (thrown) {
      if (!(thrown instanceof VaultFailure) || thrown.status !== 403) throw thrown;
      const ageMs = this.#host.clock.monotonicMs() - held.sinceMs;
      const { token, previous_token: previous } = this.#login;
      const isFixed = token !== undefined && !isReplaced(token, previous);
      if (isFixed || ageMs < RELOGIN_AFTER_MS) throw thrown;
      if (this.#held === held) this.#held = null;
      return work((await this.#current()).token);
    }
  }

  async #current(): Promise<Held> {
    const held = this.#held;
    if (held !== null && !this.#isDue(held)) return held;
    const now = this.#host.clock.monotonicMs();
    if (this.#refused !== null && now - this.#refused.atMs < REFUSED_LOGIN_MS) {
      throw this.#refused.failure;
    }
    this.#getting ??= this.#next(held).finally(() => {
      this.#getting = null;
    });
    return this.#getting;
  }

  #isDue({ refreshAtMs }: Held): boolean {
    return refreshAtMs !== null && this.#host.clock.monotonicMs() >= refreshAtMs;
  }

  async #next(held: Held | null): Promise<Held> {
    try {
      this.#held = held?.renewable === true ? await this.#renew(held) : await this.#begin();
      return this.#held;
    } catch (thrown) {
      const atMs = this.#host.clock.monotonicMs();
      if (isRefused(thrown)) this.#refused = { atMs, failure: thrown };
      throw thrown;
    }
  }

  async #renew(held: Held): Promise<Held> {
    try {
      const path = "auth/token/renew-self";
      const { body } = await this.#api.call("POST", path, held.token, this.#context, { body: {} });
      const { lease_duration: seconds, renewable } = renewed.parse(body).auth;
      // At its greatest age a renewal gains nothing, and only a new login does.
      return this.#hold(held.token, seconds, renewable && seconds > RENEWAL_WORTH_SECONDS);
    } catch (thrown) {
      if (this.#login.token !== undefined && !isRefused(thrown)) {
        this.#host.log.warn("a token of Vault was not renewed; it is used as it is");
        return { ...held, refreshAtMs: this.#host.clock.monotonicMs() + RELOGIN_AFTER_MS };
      }
      return this.#begin();
    }
  }

  /** By the first way that the server accepts; what is refused had no effect. */
  async #begin(): Promise<Held> {
    const [first, ...others] = this.#ways();
    try {
      return await first();
    } catch (thrown) {
      const [other] = others;
      if (other === undefined || !isRefused(thrown)) throw thrown;
      return other();
    }
  }

  /**
   * One; two while the broker's secret is replaced. Of secret ids the old one first: refused logins
   * are counted, and it is accepted until the last step.
   */
  #ways(): readonly [Way, ...Way[]] {
    const { token, previous_token: previous, approle, jwt, kubernetes } = this.#login;
    if (token !== undefined) {
      const lookAt = (text: string) => () => this.#lookAt(Secret.of(text));
      return isReplaced(token, previous) ? [lookAt(token), lookAt(previous)] : [lookAt(token)];
    }
    if (approle !== undefined) {
      const { mount, role_id, secret_id, previous_secret_id: before } = approle;
      const enter = (id: string) => () => this.#enter(mount, { role_id, secret_id: id });
      return isReplaced(secret_id, before) ? [enter(before), enter(secret_id)] : [enter(secret_id)];
    }
    const way = jwt ?? kubernetes;
    if (way === undefined) throw new TypeError("a login has one of its ways");
    return [
      async () => {
        const presented = await this.#readFile(way.file);
        return this.#enter(way.mount, { role: way.role, jwt: presented.expose("upstream") });
      },
    ];
  }

  async #lookAt(token: Secret): Promise<Held> {
    const path = "auth/token/lookup-self";
    const { body } = await this.#api.call("GET", path, token, this.#context);
    const { ttl, renewable } = own.parse(body).data;
    return this.#hold(token, ttl, renewable);
  }

  async #enter(mount: string, body: object): Promise<Held> {
    const path = `auth/${mount}/login`;
    const answer = await this.#api.call("POST", path, null, this.#context, { body });
    const { client_token, lease_duration, renewable } = auth.parse(answer.body).auth;
    return this.#hold(Secret.of(client_token), lease_duration, renewable);
  }

  /** `seconds` 0: it does not expire. */
  #hold(token: Secret, seconds: number, renewable: boolean): Held {
    const now = this.#host.clock.monotonicMs();
    const refreshAtMs = seconds === 0 ? null : now + seconds * REFRESH_AT_PART * 1_000;
    return { token, sinceMs: now, refreshAtMs, renewable };
  }
}

/** Of its life: early enough that a login that fails for a while is tried again. */
const REFRESH_AT_PART = 0.5;
const RENEWAL_WORTH_SECONDS = 60;

const isRefused = (thrown: unknown): thrown is VaultFailure =>
  thrown instanceof VaultFailure && thrown.kind === "refused";
