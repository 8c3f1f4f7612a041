import postgres from "postgres";
import { z } from "zod";
import { serverTls } from "@mayfly/backend-kit";
import { linkSignals, type Clock } from "@mayfly/spec";
import type { ConnectionSettings } from "./connection-settings.ts";
import { obstacleOf } from "./obstacle.ts";
import { PgFailure, PgNotTried, scrub } from "./pg-failure.ts";

export type Row = Readonly<Record<string, unknown>>;
/** The rows of each statement of a message, in order. */
export type Rows = readonly (readonly Row[])[];

export interface Deadline {
  readonly signal: AbortSignal;
  /** On the monotonic clock. */
  readonly byMs: number;
}

export interface EndpointOptions {
  readonly settings: ConnectionSettings;
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly slots: number;
  readonly clock: Clock;
  /**
   * For statements that look a few roles up among all that there are: the planner would read all of
   * them, tens of thousands, and again those that were dropped a moment ago.
   */
  readonly byIndex?: true;
}

const BY_INDEX = {
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
} as const;

/** A session of our own for a few statements in turn. */
export interface Session {
  /**
   * Sends one message of the simple query protocol. Several statements in it are one transaction,
   * with no BEGIN (PostgreSQL documentation, "Multiple Statements in a Simple Query"), so a process
   * that freezes never leaves one open. Throws {@link PgFailure}.
   */
  run(text: string): Promise<Rows>;
}

/** As many as all passes of a process may have under way at one backend, were each to go alone. */
const WAITERS_MAX = 4_096;
/** One for all: an error of its own for each call is dear, and nobody sees it. */
const SETTLED = new Error("settled");

/**
 * Bounded connections to one database of one server.
 *
 * One client per slot, so that a slot whose statement got no answer can be thrown away with its
 * socket: the server ends that statement by its own timeouts, and nobody waits for it.
 */
export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #idle: postgres.Sql[] = [];
  readonly #waiters: ((client: postgres.Sql) => void)[] = [];
  #made = 0;
  #closed = false;
  /** While the broker's own password changes: which of both was accepted last. */
  /** What the last login of any client was let in by, for those that are made next. */
  #byPrevious = false;
  readonly #logins = new WeakMap<postgres.Sql, { byPrevious: boolean }>();

  constructor(options: EndpointOptions) {
    this.#options = options;
  }

  get label(): string {
    return `${this.#options.host}:${this.#options.port}/${this.#options.database}`;
  }

  get database(): string {
    return this.#options.database;
  }

  /** One message on any connection. */
  run(text: string, deadline: Deadline): Promise<Rows> {
    return this.session(deadline, (session) => session.run(text));
  }

  /**
   * Several messages on one connection. `beforeSend` is the last moment to change one's mind: it
   * runs when the connection is there, and what it throws means that nothing was sent.
   */
  async session<T>(
    deadline: Deadline,
    work: (session: Session) => Promise<T>,
    beforeSend: () => void = () => undefined,
  ): Promise<T> {
    const client = await this.#take(deadline);
    let sound = false;
    try {
      const connection = await this.#connect(client, deadline);
      try {
        beforeSend();
        const result = await work({ run: (text) => this.#send(connection, text, deadline) });
        sound = true;
        return result;
      } catch (thrown) {
        // After a refusal the connection is as good as before: its transaction is over.
        sound = thrown instanceof PgFailure ? thrown.kind !== "lost" : false;
        throw thrown;
      } finally {
        if (sound) connection.release();
      }
    } finally {
      this.#giveBack(client, sound);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#idle.splice(0).map((client) => client.end({ timeout: 2 })));
  }

  #take(deadline: Deadline): Promise<postgres.Sql> {
    if (this.#closed) throw new PgNotTried("the backend is closed");
    if (deadline.signal.aborted) throw new PgNotTried("aborted");
    const idle = this.#idle.pop();
    if (idle !== undefined) return Promise.resolve(idle);
    if (this.#made < this.#options.slots) {
      this.#made += 1;
      return Promise.resolve(this.#client());
    }
    if (this.#waiters.length >= WAITERS_MAX) throw new PgNotTried("too many wait");
    let waiter: (client: postgres.Sql) => void = () => undefined;
    const turn = new Promise<postgres.Sql>((resolve) => {
      waiter = resolve;
      this.#waiters.push(resolve);
    });
    return this.#within(turn, deadline, "not_sent", () => {
      const place = this.#waiters.indexOf(waiter);
      if (place >= 0) this.#waiters.splice(place, 1);
      // The turn came in the same moment: it goes to the next.
      else turn.then((client) => this.#giveBack(client, true)).catch(() => undefined);
    });
  }

  #giveBack(client: postgres.Sql, sound: boolean): void {
    if (!sound || this.#closed) client.end({ timeout: sound ? 2 : 0 }).catch(() => undefined);
    if (this.#closed) return;
    const next = sound ? client : this.#client();
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#idle.push(next);
    else waiter(next);
  }

  async #connect(client: postgres.Sql, deadline: Deadline): Promise<postgres.ReservedSql> {
    try {
      return await this.#reserve(client, deadline);
    } catch (thrown) {
      const isOther = this.#options.settings.previous_password !== undefined;
      if (!isOther || !(thrown instanceof PgFailure) || !isPasswordRefused(thrown)) throw thrown;
      // Its own only: of two that are refused at once, the second would undo what the first did.
      const login = this.#logins.get(client) ?? { byPrevious: false };
      login.byPrevious = !login.byPrevious;
      const connection = await this.#reserve(client, deadline);
      this.#byPrevious = login.byPrevious;
      return connection;
    }
  }

  async #reserve(client: postgres.Sql, deadline: Deadline): Promise<postgres.ReservedSql> {
    const reserving = client.reserve();
    try {
      return await this.#within(reserving, deadline, "not_sent", () => {
        reserving.then((late) => late.release()).catch(() => undefined);
      });
    } catch (thrown) {
      if (thrown instanceof PgFailure) throw thrown;
      const obstacle = obstacleOf(thrown);
      throw new PgFailure("not_sent", describe(thrown), connectCodeOf(thrown), obstacle);
    }
  }

  async #send(connection: postgres.ReservedSql, text: string, deadline: Deadline): Promise<Rows> {
    if (deadline.signal.aborted) throw new PgNotTried("aborted");
    const query = connection.unsafe(text).simple();
    try {
      return rowsOf(await this.#within(query, deadline, "lost", () => query.cancel()));
    } catch (thrown) {
      if (thrown instanceof PgFailure) throw thrown;
      const sqlstate = sqlstateOf(thrown);
      throw new PgFailure(sqlstate === null ? "lost" : "refused", describe(thrown), sqlstate);
    }
  }

  /** Waits no longer than the deadline; `abandon` cleans up behind what was given up. */
  async #within<T>(
    work: PromiseLike<T>,
    deadline: Deadline,
    kind: "not_sent" | "lost",
    abandon: () => void,
  ): Promise<T> {
    const { clock } = this.#options;
    const settled = new AbortController();
    using linked = linkSignals(settled.signal, deadline.signal);
    const late = clock
      .sleep(Math.max(0, deadline.byMs - clock.monotonicMs()), linked.signal)
      .then(
        () => "no answer in time",
        () => (deadline.signal.aborted ? "aborted" : null),
      )
      .then((why): Promise<never> => {
        // What was in time has won the race already, and needs no error with its stack.
        if (why === null) return new Promise(() => undefined);
        throw new PgFailure(kind, why);
      });
    try {
      return await Promise.race([work, late]);
    } catch (thrown) {
      if (thrown instanceof PgFailure) {
        Promise.resolve(work).catch(() => undefined);
        abandon();
      }
      throw thrown;
    } finally {
      settled.abort(SETTLED);
      late.catch(() => undefined);
    }
  }

  #client(): postgres.Sql {
    const { settings, host, port, database, byIndex } = this.#options;
    const login = { byPrevious: this.#byPrevious };
    const client = postgres({
      host,
      port,
      database,
      username: settings.username,
      password: () => (login.byPrevious ? settings.previous_password : null) ?? settings.password,
      ssl: serverTls(settings, host),
      max: 1,
      // Without it, `reserve` as the first call on a new connection never answers (postgres.js
      // 3.4).
      fetch_types: true,
      prepare: false,
      connect_timeout: settings.call_seconds_max,
      idle_timeout: 300,
      // We have deadlines of our own; a server that is back shall be used at once.
      backoff: () => 0.05,
      onnotice: () => undefined,
      connection: {
        application_name: "mayfly",
        // Nothing that somebody created in the database, an operator between two types that the
        // server's own has none for, say, is ever run by us (CVE-2018-1058).
        search_path: "pg_catalog",
        statement_timeout: settings.call_seconds_max * 1000,
        lock_timeout: Math.ceil(settings.call_seconds_max * 500),
        idle_in_transaction_session_timeout: 10_000,
        ...(byIndex === true ? BY_INDEX : {}),
      },
    });
    this.#logins.set(client, login);
    return client;
  }
}

const pgError = z.object({ code: z.string(), severity: z.string() });
/** Null for anything but a plain ERROR: after a FATAL one nobody knows what was committed. */
function sqlstateOf(thrown: unknown): string | null {
  const parsed = pgError.safeParse(thrown);
  return parsed.success && parsed.data.severity === "ERROR" ? parsed.data.code : null;
}

/** Of a login that was refused: it is FATAL, and nothing had been sent. */
function connectCodeOf(thrown: unknown): string | null {
  const parsed = pgError.safeParse(thrown);
  return parsed.success ? parsed.data.code : null;
}

const isPasswordRefused = ({ sqlstate }: PgFailure): boolean =>
  sqlstate === "28P01" || sqlstate === "28000";

const describe = (thrown: unknown): string =>
  scrub(thrown instanceof Error ? thrown.message : "unknown failure");

const rowSchema = z.record(z.string(), z.unknown());
const resultSchema = z.array(rowSchema);
/** One statement gives a list of rows, several a list of such lists. */
function rowsOf(result: readonly unknown[]): Rows {
  const several = !("command" in result);
  return several
    ? result.map((rows) => resultSchema.parse([...z.array(z.unknown()).parse(rows)]))
    : [resultSchema.parse([...result])];
}
