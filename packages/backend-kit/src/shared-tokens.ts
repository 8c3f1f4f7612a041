import {
  BUDGET_DRAW_MAX,
  END_PAUSE_SECONDS_MAX,
  PAUSE_SECONDS_MAX,
  durationSeconds,
  type BackendHost,
  type BackendBudget,
  type BudgetAnswer,
  type BudgetRate,
  type BudgetUse,
} from "@mayfly/spec";
import type { CallTokens, Lane, TokenHooks } from "./call-lanes.ts";
import { HeldBack } from "./held-back.ts";
import type { LimitSettings } from "./limit-settings.ts";

/** What came of asking the ledger; `failed`: it could not be asked. */
export type DrawOutcome = BudgetAnswer["kind"] | "failed";

/** Who is told of it, for metrics. */
interface BudgetWatch {
  drew(use: BudgetUse, outcome: DrawOutcome): void;
  /** The upstream asked for fewer calls. */
  paused(): void;
}

/** How much of the rate is drawn at once, at most: of ends and of mints each what may be lost. */
const AHEAD_MS = 100;
/** Of what was drawn and not used: then its time has passed, as that of a bucket that is full. */
const GOOD_MS = 1_000;
/** How long an end waits for the ledger. */
const PATIENCE_MS = 2_000;
/** After the ledger could not be asked, ends ask nobody for so long. */
const APART_MS = 5_000;
/** Of the rate, what the ends of one process may have while the ledger cannot be asked. */
const OWN_SHARE = 0.2;
/** How often the ledger is asked whether mints are paused that ask for nothing themselves. */
const LOOK_MS = 1_000;
/** As an end, which is two calls, is to be done within its claim. */
const OWN_PER_SECOND_MIN = 0.5;

interface Pocket {
  tokens: number;
  goodUntilMs: number;
  isDrawing: boolean;
  lastDrawMs: number;
  /** The bucket gave less than was asked for: asked again at once it would give a token or two. */
  nextDrawMs: number;
  usedSince: number;
}

const emptyPocket = (): Pocket => ({
  tokens: 0,
  goodUntilMs: 0,
  isDrawing: false,
  lastDrawMs: Number.NEGATIVE_INFINITY,
  nextDrawMs: 0,
  usedSince: 0,
});

const CLOSED = new Error("the tokens are closed");

/** A share of the burst: an end that comes while mints take all that they get begins at once. */
const keptForEnds = (burst: number): number => (burst < 2 ? 0 : Math.max(1, Math.floor(burst / 5)));

/** The rate of a configuration; null: it has none. */
export function rateOf({ per_second: perSecond, burst }: LimitSettings): BudgetRate | null {
  if (perSecond === undefined) return null;
  const most = burst ?? Math.max(2, Math.ceil(perSecond));
  return { perSecond, burst: most, keptForEnds: keptForEnds(most) };
}

/**
 * One process's part of the budget that the ledger keeps for all of them. It is asked only while
 * calls wait, once at a time for ends and once for mints, for those that wait and as many more as
 * were begun in the last tenth of a second: so a slow backend costs a statement for each call, and
 * a fast one some ten a second, however fast it is. Mints that stand behind ends draw nothing, and
 * have it asked once a second whether they are paused.
 *
 * Where the ledger cannot be asked, mints are refused, and ends go on at a rate of the process's
 * own: neither is an end ever held back because of it, nor are there more calls than the rate says,
 * up to five processes.
 */
export class SharedTokens implements CallTokens {
  readonly #host: Pick<BackendHost, "clock" | "log">;
  readonly #budget: BackendBudget;
  readonly #rate: BudgetRate;
  readonly #watch: BudgetWatch;
  readonly #aheadMax: number;
  readonly #pockets: Readonly<Record<BudgetUse, Pocket>> = {
    ends: emptyPocket(),
    mints: emptyPocket(),
  };
  readonly #closing = new AbortController();
  #hooks: TokenHooks | null = null;
  #mintsPausedUntilMs = 0;
  #isLooking = false;
  #apartUntilMs = 0;
  #nextOwnMs = 0;

  constructor(
    host: Pick<BackendHost, "clock" | "log"> & { readonly budget: BackendBudget },
    rate: BudgetRate,
    watch: BudgetWatch,
  ) {
    this.#host = host;
    this.#budget = host.budget;
    this.#rate = rate;
    this.#watch = watch;
    const ahead = Math.max(1, Math.floor((rate.perSecond * AHEAD_MS) / 1000));
    this.#aheadMax = Math.min(BUDGET_DRAW_MAX, rate.burst, ahead);
  }

  attach(hooks: TokenHooks): void {
    this.#hooks = hooks;
  }

  take(lane: Lane): boolean {
    const use = lane === "issue" ? "mints" : "ends";
    // What was drawn for mints serves an end as well; never the other way round.
    if (this.#spend(use) || (use === "ends" && this.#spend("mints"))) return true;
    if (use === "mints" && this.#pausedForMs() > 0) this.#refusePaused();
    else if (!this.#pockets[use].isDrawing) this.#draw(use);
    return false;
  }

  mintsWait(): void {
    if (this.#pausedForMs() > 0) this.#refusePaused();
    else if (!this.#isLooking && !this.#pockets.mints.isDrawing) this.#look();
  }

  /** Bounded, whatever the ledger does: who tells of it has an answer to give. */
  async pause(seconds: number): Promise<void> {
    const { log } = this.#host;
    for (const pocket of Object.values(this.#pockets)) pocket.tokens = 0;
    const nowMs = this.#host.clock.monotonicMs();
    const endsMs = Math.min(seconds, END_PAUSE_SECONDS_MAX) * 1000;
    this.#nextOwnMs = Math.max(this.#nextOwnMs, nowMs + endsMs);
    const mintsMs = Math.min(seconds, PAUSE_SECONDS_MAX) * 1000;
    this.#mintsPausedUntilMs = Math.max(this.#mintsPausedUntilMs, nowMs + mintsMs);
    this.#refusePaused();
    this.#watch.paused();
    try {
      await this.#withPatience(() => this.#budget.pause(durationSeconds(seconds)));
    } catch (error) {
      log.warn("other processes were not told that the backend asks for fewer calls", {}, error);
    }
  }

  close(): void {
    this.#closing.abort(CLOSED);
  }

  #spend(use: BudgetUse): boolean {
    const pocket = this.#pockets[use];
    if (pocket.tokens < 1) return false;
    if (this.#host.clock.monotonicMs() > pocket.goodUntilMs) {
      pocket.tokens = 0;
      return false;
    }
    pocket.tokens -= 1;
    pocket.usedSince += 1;
    return true;
  }

  #pausedForMs(): number {
    return this.#mintsPausedUntilMs - this.#host.clock.monotonicMs();
  }

  #refusePaused(): void {
    const seconds = Math.max(1, Math.ceil(this.#pausedForMs() / 1000));
    this.#hooks?.refuse("issue", new HeldBack("paused", seconds));
  }

  #draw(use: BudgetUse): void {
    const pocket = this.#pockets[use];
    pocket.isDrawing = true;
    this.#drawn(use, pocket).then(
      () => {
        pocket.isDrawing = false;
        this.#hooks?.wake();
      },
      () => {
        // It was closed.
        pocket.isDrawing = false;
      },
    );
  }

  #look(): void {
    this.#isLooking = true;
    const over = (): void => {
      this.#isLooking = false;
    };
    this.#looked().then(
      () => {
        over();
        this.#hooks?.wake();
      },
      // It was closed.
      over,
    );
  }

  async #looked(): Promise<void> {
    const answer = await this.#askForMints(0);
    if (answer?.kind === "paused") this.#pauseMints(answer.inSeconds);
    await this.#sleep(LOOK_MS);
  }

  #pauseMints(seconds: number): void {
    this.#mintsPausedUntilMs = this.#host.clock.monotonicMs() + seconds * 1000;
    this.#refusePaused();
  }

  /** For those that wait, and for as many as will have come before it pays to ask again. */
  #wanted(pocket: Pocket, waiting: number): number {
    const nowMs = this.#host.clock.monotonicMs();
    const sinceMs = nowMs - pocket.lastDrawMs;
    const ahead = Math.floor(pocket.usedSince * Math.min(1, AHEAD_MS / sinceMs));
    pocket.lastDrawMs = nowMs;
    pocket.usedSince = 0;
    return Math.min(this.#aheadMax, waiting + ahead);
  }

  async #drawn(use: BudgetUse, pocket: Pocket): Promise<void> {
    await this.#sleep(pocket.nextDrawMs - this.#host.clock.monotonicMs());
    // By then others may have come, or all that waited have gone.
    const waiting = this.#hooks?.couldBegin(use === "mints" ? "issue" : "end") ?? 0;
    if (waiting === 0) return;
    const tokens = this.#wanted(pocket, waiting);
    const answer =
      use === "ends" ? await this.#askForEnds(tokens) : await this.#askForMints(tokens);
    if (answer === null) return;
    if (answer.kind === "paused") return this.#pauseMints(answer.inSeconds);
    if (answer.kind === "empty" || answer.tokens < tokens) {
      pocket.nextDrawMs = pocket.lastDrawMs + AHEAD_MS;
    }
    await this.#sleep(Math.ceil(answer.inSeconds * 1000));
    if (answer.kind === "empty") return;
    // What was drawn before the upstream asked for fewer is of no use after it.
    if (use === "mints" && this.#pausedForMs() > 0) return;
    pocket.tokens = answer.tokens;
    pocket.goodUntilMs = this.#host.clock.monotonicMs() + GOOD_MS;
  }

  async #askForMints(tokens: number): Promise<BudgetAnswer | null> {
    try {
      return await this.#ask("mints", tokens);
    } catch {
      this.#hooks?.refuse("issue", new HeldBack("ledger"));
      return null;
    }
  }

  async #askForEnds(tokens: number): Promise<BudgetAnswer> {
    if (this.#host.clock.monotonicMs() < this.#apartUntilMs) return this.#ownShare(tokens);
    try {
      return await this.#withPatience(() => this.#ask("ends", tokens));
    } catch {
      this.#apartUntilMs = this.#host.clock.monotonicMs() + APART_MS;
      return this.#ownShare(tokens);
    }
  }

  async #ask(use: BudgetUse, tokens: number): Promise<BudgetAnswer> {
    const patientUntilMs = this.#host.clock.monotonicMs() + PATIENCE_MS;
    try {
      const answer = await this.#budget.draw({ use, tokens, rate: this.#rate });
      // Who asks for none is not told that there is none.
      if (tokens > 0 || answer.kind === "paused") this.#watch.drew(use, answer.kind);
      // An answer for which no end would have waited is none to them, and so would the next be.
      if (this.#host.clock.monotonicMs() < patientUntilMs) this.#apartUntilMs = 0;
      return answer;
    } catch (error) {
      this.#watch.drew(use, "failed");
      throw error;
    }
  }

  #ownShare(wanted: number): BudgetAnswer {
    const nowMs = this.#host.clock.monotonicMs();
    const atMs = Math.max(nowMs, this.#nextOwnMs);
    const perSecond = Math.max(OWN_PER_SECOND_MIN, this.#rate.perSecond * OWN_SHARE);
    const ahead = Math.max(1, Math.floor((perSecond * AHEAD_MS) / 1000));
    const tokens = Math.min(wanted, ahead);
    this.#nextOwnMs = atMs + (tokens * 1000) / perSecond;
    return { kind: "drawn", tokens, inSeconds: (atMs - nowMs) / 1000 };
  }

  async #withPatience<T>(call: () => Promise<T>): Promise<T> {
    const answered = new AbortController();
    const late = this.#host.clock.sleep(PATIENCE_MS, answered.signal).then((): never => {
      throw new Error(`the ledger did not answer within ${PATIENCE_MS} ms`);
    });
    try {
      return await Promise.race([call(), late]);
    } finally {
      answered.abort(CLOSED);
      late.catch(() => undefined);
    }
  }

  async #sleep(ms: number): Promise<void> {
    if (this.#closing.signal.aborted) throw CLOSED;
    if (ms > 0) await this.#host.clock.sleep(ms, this.#closing.signal);
  }
}
