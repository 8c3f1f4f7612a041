import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Clock } from "@mayfly/spec";
import { z } from "zod";

/**
 * A fake of the upstream's API, over HTTP. Replace it by one that does what the vendor's
 * documentation says, and cite that here, line by line; or by the real server.
 */
export interface FakeExample {
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly accounts: Map<string, FakeAccount>;
  /** Rights of the broker's token. */
  readonly rights: Set<string>;
  accepts(name: string, password: string): boolean;
  /** Until `release`, what would be made waits. */
  block(): { release(): void };
  stop(): Promise<void>;
}
export interface FakeAccount {
  readonly id: string;
  readonly password: string;
  mark: string;
  expires_at: number;
  sessions: number;
}

export const FAKE_TOKEN = "canary-of-the-brokers-token";
const PAGE = 3;

const creation = z.object({
  name: z.string(),
  password: z.string(),
  mark: z.string(),
  expires_at: z.number(),
  deadline: z.number(),
});
const renewal = z.object({ expires_at: z.number() });

interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

/** What the upstream keeps, and does. */
class FakeState {
  readonly accounts = new Map<string, FakeAccount>();
  readonly rights = new Set(["accounts.read", "accounts.write"]);
  readonly clock: Clock;
  readonly #tombstones = new Map<string, number>();
  #made = 0;
  /** What is to be made waits for it. */
  gate = Promise.resolve();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  async answer(method: string, url: URL, input: unknown): Promise<Answer> {
    const [, kind, name] = url.pathname.split("/").map(decodeURIComponent);
    if (kind === "self") {
      const rights = [...this.rights];
      return { status: 200, body: { identity: "fake", now: this.clock.now(), rights } };
    }
    if (kind === "tombstones" && name !== undefined) return this.#onTombstone(method, name);
    if (kind !== "accounts") return { status: 404 };
    if (name !== undefined) {
      return this.#onAccount(method, name, url.searchParams.get("id"), input);
    }
    return method === "POST"
      ? this.#create(input)
      : this.#listAfter(url.searchParams.get("after") ?? "");
  }

  async #create(input: unknown): Promise<Answer> {
    await this.gate;
    const { name, deadline, ...rest } = creation.parse(input);
    if (this.clock.now() > deadline) return { status: 410 };
    if (this.accounts.has(name) || this.#tombstones.has(name)) return { status: 409 };
    const account = { ...rest, id: `id-${this.#made++}`, sessions: 0 };
    this.accounts.set(name, account);
    return { status: 201, body: account };
  }

  #onAccount(method: string, name: string, id: string | null, input: unknown): Answer {
    const account = this.accounts.get(name);
    if (account === undefined || (id !== null && account.id !== id)) return { status: 404 };
    if (method === "DELETE") this.accounts.delete(name);
    if (method === "PATCH") account.expires_at = renewal.parse(input).expires_at;
    return method === "DELETE" ? { status: 204 } : { status: 200, body: account };
  }

  #onTombstone(method: string, name: string): Answer {
    if (method === "DELETE") return { status: this.#tombstones.delete(name) ? 204 : 404 };
    const now = this.clock.now();
    const takenAt = this.#tombstones.get(name) ?? now;
    this.#tombstones.set(name, takenAt);
    return { status: 200, body: { taken_at: takenAt, now } };
  }

  #listAfter(after: string): Answer {
    const names = [...this.accounts.keys()].filter((name) => name > after);
    const rest = names.toSorted((one, other) => (one < other ? -1 : 1));
    const items = rest.slice(0, PAGE).map((name) => {
      const { id, mark } = this.accounts.get(name) ?? { id: "", mark: "" };
      return { name, id, mark };
    });
    const next = rest.length > PAGE ? (items.at(-1)?.name ?? null) : null;
    return { status: 200, body: { items, next } };
  }
}

export async function startFakeExample(clock: Clock): Promise<FakeExample> {
  const state = new FakeState(clock);
  const server = createServer((request, response) => {
    respond(request, response, state).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the fake has no port");
  const { accounts, rights } = state;
  return {
    host: "127.0.0.1",
    port: address.port,
    accounts,
    rights,
    accepts: (name, password) => {
      const account = accounts.get(name);
      return account?.password === password && clock.now() < account.expires_at;
    },
    block: () => {
      let release = (): void => undefined;
      state.gate = new Promise((resolve) => {
        release = resolve;
      });
      return { release: () => release() };
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  state: FakeState,
): Promise<void> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += String(chunk);
  const input: unknown = text === "" ? null : JSON.parse(text);
  const url = new URL(request.url ?? "/", "http://fake.test");
  const { status, body } =
    request.headers.authorization === `Bearer ${FAKE_TOKEN}`
      ? await state.answer(request.method ?? "GET", url, input)
      : { status: 401, body: undefined };
  response.writeHead(status, { "content-type": "application/json" });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
