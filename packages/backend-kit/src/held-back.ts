/** Why a call was not begun. */
export class HeldBack extends Error {
  override readonly name = "HeldBack";
  readonly reason: "queue_full" | "deadline" | "closed" | "paused" | "ledger";
  /** When it may go better. */
  readonly seconds: number;
  constructor(reason: HeldBack["reason"], seconds = 1) {
    super(reason);
    this.reason = reason;
    this.seconds = seconds;
  }
}
