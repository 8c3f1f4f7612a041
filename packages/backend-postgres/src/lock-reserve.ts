import type { BackendHost } from "@mayfly/spec";
import type { Deadline, Endpoint, Session } from "./endpoint.ts";
import { oidsOf } from "./lease-sets.ts";
import type { LeaseHandle } from "./lease-mark.ts";
import { wholeNumber } from "./quote.ts";

/** How long one session holds; then the other does. */
const HOLD_MS = 20_000;
/** Of the whole message; a server that is slower than that is looked for again. */
const ANSWER_MS = 15_000;
/** A holder that froze or was cut off is ended by the server. */
const FORGOTTEN_MS = 2 * HOLD_MS + ANSWER_MS;

/**
 * Every shared catalog that ending a lease reads or changes. A query that finds nothing locks them
 * and their indexes, in ACCESS SHARE, until its transaction ends, and keeps no snapshot.
 */
const HOLD = `BEGIN;
  SET LOCAL idle_in_transaction_session_timeout = ${wholeNumber(FORGOTTEN_MS)};
  SELECT FROM pg_roles r, pg_auth_members, pg_stat_activity, pg_shdepend, pg_shdescription,
    pg_db_role_setting, pg_shseclabel, pg_tablespace WHERE r.oid = 0 AND r.oid = 1`;

/**
 * Keeps room in the server's lock table for what ends leases.
 *
 * Any role may take advisory locks until that table is full (SQLSTATE 53200): then nobody can log
 * in, or look at a shared catalog, and no lease could be ended for as long as the session lives.
 * An object that somebody holds has its entry already, and whoever else locks it needs a place
 * beside that entry alone, of which PostgreSQL has twice as many (its lock.c). So of two sessions
 * one always holds the catalogs, for {@link HOLD_MS}, and no longer than {@link FORGOTTEN_MS}.
 *
 * Several sessions can fill those places too. The one that holds then still can end them, since
 * it takes no lock anew.
 */
export class LockReserve {
  readonly #endpoint: Endpoint;
  readonly #host: BackendHost;
  readonly #closing: AbortSignal;
  readonly #holding = new Set<Session>();
  readonly #holdMs: number;
  #begun = false;

  /** @param endpoint Of its own, with two slots. */
  constructor(endpoint: Endpoint, host: BackendHost, closing: AbortSignal, holdMs = HOLD_MS) {
    this.#holdMs = holdMs;
    this.#endpoint = endpoint;
    this.#host = host;
    this.#closing = closing;
  }

  /** Begins to hold, unless it does already, and waits for nothing. */
  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#keep().catch(() => undefined);
  }

  close(): Promise<void> {
    return this.#endpoint.close();
  }

  /** Signals the sessions of the lease from a session that holds; false where there is none. */
  async cut(handle: LeaseHandle): Promise<boolean> {
    for (const session of this.#holding) {
      try {
        // A transaction sees the sessions of the moment when it first looked.
        await session.run(
          `SAVEPOINT cut; SELECT pg_stat_clear_snapshot();
           SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
           WHERE usesysid = ANY (${oidsOf([handle])}); RELEASE cut`,
        );
        return true;
      } catch (thrown) {
        this.#host.log.warn("the reserve of locks could not end a session", {}, thrown);
        await session.run("ROLLBACK TO cut").catch(() => undefined);
      }
    }
    return false;
  }

  /** The next session holds before the last one lets go, however late its turn comes. */
  async #keep(): Promise<void> {
    const { clock, log } = this.#host;
    let letGo = (): void => undefined;
    let missed = false;
    try {
      for (;;) {
        const enough = Promise.withResolvers<void>();
        try {
          await this.#hold(enough.promise);
          letGo();
          letGo = enough.resolve;
          missed = false;
        } catch (thrown) {
          enough.resolve();
          // Once for each time that it is lost: a server that is down is told of elsewhere.
          if (!missed) log.warn("no locks in reserve", { server: this.#endpoint.label }, thrown);
          missed = true;
        }
        await clock.sleep(this.#holdMs, this.#closing);
      }
    } finally {
      letGo();
    }
  }

  /** Resolves once a session holds, which it then does until `enough`. */
  #hold(enough: Promise<void>): Promise<void> {
    const held = Promise.withResolvers<void>();
    const hold = async (session: Session): Promise<void> => {
      await session.run(HOLD);
      this.#holding.add(session);
      held.resolve();
      try {
        await enough;
      } finally {
        this.#holding.delete(session);
      }
      await session.run("ROLLBACK");
    };
    // What fails once it held is found by the next that holds.
    this.#endpoint.session(this.#deadline(), hold).catch(held.reject);
    return held.promise;
  }

  #deadline(): Deadline {
    const byMs = this.#host.clock.monotonicMs() + 2 * this.#holdMs + ANSWER_MS;
    return { signal: this.#closing, byMs };
  }
}
