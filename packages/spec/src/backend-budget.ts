import type { BackendId } from "./ids.ts";
import type { DurationSeconds } from "./time.ts";

/**
 * The calls that all processes of an installation may begin at one backend, together: a token
 * bucket, which the ledger keeps and fills by its own clock. A process draws what it is about to
 * use, and nothing is given back: of one that dies, what it drew last is lost, and no more.
 *
 * Q1. However many draw at once, what may be used within `t` seconds is at most
 * `burst + perSecond * t`, and what was drawn before and not used yet.
 * Q2. Ends come before mints. A mint gets only what is there above `keptForEnds`; an end is
 * promised what comes next, and then every mint waits until that has come too.
 * Q3. An end is promised whatever comes within {@link BUDGET_WAIT_SECONDS_MAX}; who asks for what
 * comes later is to ask again. What was promised at a higher rate counts as so much at this one.
 * Q4. A pause holds for whoever draws after it, until the longest that was asked for is over: for
 * mints {@link PAUSE_SECONDS_MAX} at most, for ends {@link END_PAUSE_SECONDS_MAX}. Ends are
 * promised what comes after it.
 */
export interface BackendBudget {
  draw(draw: BudgetDraw): Promise<BudgetAnswer>;
  /** The upstream asked for fewer calls, for so long. */
  pause(seconds: DurationSeconds): Promise<void>;
}

export interface BudgetDraw {
  readonly use: BudgetUse;
  /**
   * A whole number, 1 to {@link BUDGET_DRAW_MAX}, and no more than the burst. Of a mint also 0,
   * which takes nothing and is `empty` or `paused`.
   */
  readonly tokens: number;
  readonly rate: BudgetRate;
}

/** Ends are all that is no mint and no renewal. */
export type BudgetUse = "ends" | "mints";

/** As the backend's configuration has it. */
export interface BudgetRate {
  readonly perSecond: number;
  /** At least 1. */
  readonly burst: number;
  /** Of the burst what no mint gets: a whole number below it. */
  readonly keptForEnds: number;
}

export const BUDGET_DRAW_MAX = 1_000;
export const BUDGET_WAIT_SECONDS_MAX = 10;
export const PAUSE_SECONDS_MAX = 300;
/** Well within the claim of an end, which is tried again whatever the upstream says. */
export const END_PAUSE_SECONDS_MAX = 10;

export type BudgetAnswer =
  /** So many, from then on. A mint's may be fewer than it asked for, and are there at once. */
  | { readonly kind: "drawn"; readonly tokens: number; readonly inSeconds: number }
  /** None; by then there may be. */
  | { readonly kind: "empty"; readonly inSeconds: number }
  /** None for a mint until then. */
  | { readonly kind: "paused"; readonly inSeconds: number };

export interface BackendBudgetStores {
  of(backendId: BackendId): BackendBudget;
}
