import { connect, type Socket } from "node:net";
import { getCACertificates } from "node:tls";
import { createConnection, type Connection } from "mariadb";
import { z } from "zod";
import { serverTls } from "@mayfly/backend-kit";
import { linkSignals, type Clock } from "@mayfly/spec";
import type { ConnectionSettings } from "./connection-settings.ts";
import { ERRNO, MysqlFailure } from "./mysql-failure.ts";

export type Row = Readonly<Record<string, unknown>>;
/** What a statement gave: rows of a query, or how many rows it changed. */
export interface Result {
  readonly rows: readonly Row[];
  readonly changed: number;
}

export interface Deadline {
  readonly signal: AbortSignal;
  /** On the monotonic clock. */
  readonly byMs: number;
}

export interface EndpointOptions {
  readonly settings: ConnectionSettings;
  readonly host: string;
  readonly port: number;
  readonly slots: number;
  readonly clock: Clock;
}

/** A session of our own for a few statements in turn. */
export interface Session {
  /** One statement; `values` stand for its question marks. Rejects with {@link MysqlFailure}. */
  run(text: string, values?: readonly (string | number)[]): Promise<Result>;
}

/**
 * A connection and its socket: what is given up is cut there. The driver's own `destroy` logs in
 * once more to kill what is under way, and ends the process when that comes too late.
 */
interface Line {
  readonly connection: Connection;
  readonly socket: Socket;
  /** Since when it has nothing to do, on the monotonic clock. */
  idleSinceMs: number;
}

/**
 * How long the server keeps a session of ours that says nothing. Well under the quarantine (300 s
 * by default): a mint that was frozen longer finds its session gone, and sends nothing more.
 */
const SILENT_SECONDS_MAX = 60;
/** We leave earlier, so as not to send in the moment in which the server leaves. */
const IDLE_MS_MAX = 30_000;

const GIVEN_UP = new Error("given up");
const cut = ({ socket }: Line): void => {
  socket.destroy(GIVEN_UP);
};

/** As many may wait for a slot as a batch of a pass, and some. */
const WAITERS_MAX = 1_000;
const SETTLED = new Error("settled");

/** One server, and a bounded number of connections to it that are made when they are needed. */
export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #idle: Line[] = [];
  readonly #waiters: (() => void)[] = [];
  #busy = 0;
  /** Which password was accepted last. */
  #byPrevious = false;
  #closed = false;

  constructor(options: EndpointOptions) {
    this.#options = options;
  }

  get at(): string {
    return `${this.#options.host}:${this.#options.port}`;
  }

  /** One statement in a session of its own. */
  run(
    text: string,
    deadline: Deadline,
    values: readonly (string | number)[] = [],
  ): Promise<Result> {
    return this.session(deadline, (session) => session.run(text, values));
  }

  /** A connection on which something was lost, or that was given up, is not used again. */
  async session<T>(deadline: Deadline, work: (session: Session) => Promise<T>): Promise<T> {
    await this.#place(deadline);
    let line: Line | undefined;
    let isSound = false;
    try {
      line = await this.#line(deadline);
      const mine = line;
      const answer = await work({
        run: (text, values = []) => this.#send(mine, text, values, deadline),
      });
      isSound = true;
      return answer;
    } catch (thrown) {
      isSound = thrown instanceof MysqlFailure && thrown.kind === "refused";
      throw thrown;
    } finally {
      if (line !== undefined) this.#giveBack(line, isSound);
      this.#busy--;
      this.#waiters.shift()?.();
    }
  }

  /** Logs in as somebody else, once: as a lease, for what only it may do. */
  async logInAs(
    login: { readonly username: string; readonly password: string },
    deadline: Deadline,
    work: (session: Session) => Promise<void>,
  ): Promise<void> {
    const line = await this.#connect(login, deadline);
    let isSound = false;
    try {
      await work({ run: (text, values = []) => this.#send(line, text, values, deadline) });
      isSound = true;
    } finally {
      leave(line, isSound);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#idle.splice(0).map(({ connection }) => connection.end()));
  }

  async #place(deadline: Deadline): Promise<void> {
    if (this.#busy < this.#options.slots) {
      this.#busy++;
      return;
    }
    if (this.#waiters.length >= WAITERS_MAX) throw new MysqlFailure("not_sent", "too many wait");
    let waiter = (): void => undefined;
    const turn = new Promise<void>((resolve) => {
      waiter = () => {
        this.#busy++;
        resolve();
      };
      this.#waiters.push(waiter);
    });
    await this.#within(turn, deadline, "not_sent", () => {
      const place = this.#waiters.indexOf(waiter);
      if (place >= 0) this.#waiters.splice(place, 1);
      // The turn came in the same moment: it goes to the next.
      else {
        this.#busy--;
        this.#waiters.shift()?.();
      }
    });
  }

  async #line(deadline: Deadline): Promise<Line> {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      const idleMs = this.#options.clock.monotonicMs() - idle.idleSinceMs;
      if (idle.connection.isValid() && idleMs < IDLE_MS_MAX) return idle;
      leave(idle, idle.connection.isValid());
    }
    const made = await this.#ownLine(deadline);
    const seconds = Math.max(1, Math.floor(this.#options.settings.call_seconds_max / 2));
    try {
      // Instants are compared in UTC, and a GRANT must make no account of a name that is gone.
      await this.#send(
        made,
        `SET SESSION time_zone = '+00:00', lock_wait_timeout = ${seconds},
         innodb_lock_wait_timeout = ${seconds}, wait_timeout = ${SILENT_SECONDS_MAX},
         sql_mode = CONCAT(@@sql_mode, IF(VERSION() LIKE '%MariaDB%', ',NO_AUTO_CREATE_USER', ''))`,
        [],
        deadline,
      );
    } catch (thrown) {
      cut(made);
      throw thrown instanceof MysqlFailure
        ? new MysqlFailure("not_sent", thrown.message, thrown.errno)
        : thrown;
    }
    return made;
  }

  /** While the broker's own password changes, by whichever of both the server accepts. */
  async #ownLine(deadline: Deadline): Promise<Line> {
    const { username, password, previous_password: previous } = this.#options.settings;
    const passwords = [password, ...(previous === undefined ? [] : [previous])];
    const byPrevious = this.#byPrevious;
    const [first = "", second] = byPrevious ? passwords.toReversed() : passwords;
    try {
      return await this.#connect({ username, password: first }, deadline);
    } catch (thrown) {
      const isRefused = thrown instanceof MysqlFailure && thrown.errno === ERRNO.loginRefused;
      if (second === undefined || !isRefused) throw thrown;
      const line = await this.#connect({ username, password: second }, deadline);
      this.#byPrevious = !byPrevious;
      return line;
    }
  }

  async #connect(
    login: { readonly username: string; readonly password: string },
    deadline: Deadline,
  ): Promise<Line> {
    const { settings, host, port } = this.#options;
    const socket = connect({ host, port, noDelay: true });
    // The driver's own listener goes with its connection, and a late error would end the process.
    socket.on("error", () => undefined);
    const tls = serverTls(settings, host);
    const connecting = createConnection({
      host,
      port,
      user: login.username,
      password: login.password,
      stream: (give) => give(undefined, socket),
      // Without certificates the driver trusts any, and compares fingerprints by the password.
      ssl: tls === false ? false : { ca: getCACertificates("default"), ...tls },
      connectTimeout: settings.call_seconds_max * 1_000,
      // Whoever changes one row twice must see that it was there.
      foundRows: true,
      bigIntAsNumber: true,
      insertIdAsNumber: true,
      dateStrings: true,
      // An error would quote the statement, which may hold a password.
      debugLen: 0,
      allowPublicKeyRetrieval: settings.tls === "unsafe_disable",
    });
    const connection = await this.#within(connecting, deadline, "not_sent", () => {
      socket.destroy(GIVEN_UP);
    }).catch((thrown: unknown) => {
      socket.destroy();
      throw failureOf(thrown, "not_sent");
    });
    // Told by the next statement; without a listener it would end the process.
    connection.on("error", () => undefined);
    return { connection, socket, idleSinceMs: this.#options.clock.monotonicMs() };
  }

  async #send(
    line: Line,
    text: string,
    values: readonly (string | number)[],
    deadline: Deadline,
  ): Promise<Result> {
    if (deadline.signal.aborted) throw new MysqlFailure("not_sent", "aborted");
    const asked: Promise<unknown> = line.connection.query(text, [...values]);
    try {
      return resultOf(await this.#within(asked, deadline, "lost", () => cut(line)));
    } catch (thrown) {
      throw failureOf(thrown, "lost");
    }
  }

  #giveBack(line: Line, isSound: boolean): void {
    line.idleSinceMs = this.#options.clock.monotonicMs();
    if (isSound && !this.#closed && line.connection.isValid()) this.#idle.push(line);
    else leave(line, isSound);
  }

  /** Waits no longer than the deadline; `abandon` cleans up behind what was given up. */
  async #within<T>(
    work: Promise<T>,
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
        () => "aborted",
      )
      .then((why) => {
        throw new MysqlFailure(kind, why);
      });
    try {
      return await Promise.race([work, late]);
    } catch (thrown) {
      if (thrown instanceof MysqlFailure) {
        work.catch(() => undefined);
        abandon();
      }
      throw thrown;
    } finally {
      settled.abort(SETTLED);
      late.catch(() => undefined);
    }
  }
}

function leave(line: Line, isSound: boolean): void {
  if (isSound) line.connection.end().catch(() => cut(line));
  else cut(line);
}

const sqlError = z.object({
  errno: z.number(),
  fatal: z.boolean(),
  sqlMessage: z.string().nullish(),
  code: z.string().nullish(),
});

/** Of the driver's error only number and code: its text may quote what was sent. */
function failureOf(thrown: unknown, kind: "not_sent" | "lost"): MysqlFailure {
  if (thrown instanceof MysqlFailure) return thrown;
  const parsed = sqlError.safeParse(thrown);
  if (!parsed.success) return new MysqlFailure(kind, "the driver failed");
  const { errno, fatal, code } = parsed.data;
  const words = code ?? `error ${errno}`;
  return fatal || kind === "not_sent"
    ? new MysqlFailure(kind, words, errno)
    : new MysqlFailure("refused", words, errno);
}

const rowSchema = z.record(z.string(), z.unknown());
const changeSchema = z.object({ affectedRows: z.number() });
function resultOf(answer: unknown): Result {
  if (Array.isArray(answer)) {
    return { rows: answer.map((row: unknown) => rowSchema.parse(row)), changed: 0 };
  }
  const { affectedRows } = changeSchema.parse(answer);
  return { rows: [], changed: affectedRows };
}
