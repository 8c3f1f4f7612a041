import type { CallContext, Clock, InstantMs } from "@mayfly/spec";

/** Why the fake refuses: nothing was done. */
export class PoolRefusal extends Error {
  override readonly name = "PoolRefusal";
  readonly code: "past_deadline" | "has_gone_on" | "gone";
  constructor(code: PoolRefusal["code"]) {
    super(code);
    this.code = code;
  }
}

export interface FakeSlot {
  /** Of the tenant that has it, or of the last one that ended. */
  readonly generation: number;
  readonly mark: string;
  readonly password: string | null;
  readonly expiresAt: InstantMs;
  readonly sessions: ReadonlySet<number>;
}

const NOBODY: Omit<FakeSlot, "expiresAt"> = {
  generation: 0,
  mark: "",
  password: null,
  sessions: new Set(),
};

/** Principals that are used again, in memory; shared by all that are opened on it. */
export class FakePool {
  readonly clock: Clock;
  /** Whether it refuses what comes under a lower generation than stands at the slot. */
  readonly compares: boolean;
  readonly #slots = new Map<string, FakeSlot>();
  #held: (() => void)[] | null = null;
  #sessions = 0;
  isWeak = false;

  constructor(clock: Clock, compares: boolean) {
    this.clock = clock;
    this.compares = compares;
  }

  /** As over a network: what is held back arrives at `release`, whoever still waits for it. */
  async send<T>(context: CallContext, effect: () => T): Promise<T> {
    const held = this.#held;
    if (held === null) return effect();
    return new Promise<T>((resolve, reject) => {
      context.signal.addEventListener("abort", () => reject(new Error("aborted")), { once: true });
      held.push(() => {
        try {
          resolve(effect());
        } catch (refusal) {
          reject(refusal instanceof Error ? refusal : new Error("refused", { cause: refusal }));
        }
      });
    });
  }
  hold(): void {
    this.#held = [];
  }
  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const arrive of held) arrive();
  }

  at(slot: string): FakeSlot {
    return this.#slots.get(slot) ?? { ...NOBODY, expiresAt: this.clock.now() };
  }
  put(slot: string, change: Partial<FakeSlot>): void {
    this.#slots.set(slot, { ...this.at(slot), ...change });
  }
  isLive(slot: string): boolean {
    const { password, expiresAt } = this.at(slot);
    return password !== null && this.clock.now() < expiresAt;
  }
  live(): readonly { readonly slot: string; readonly mark: string }[] {
    return [...this.#slots.keys()]
      .filter((slot) => this.isLive(slot))
      .toSorted()
      .map((slot) => ({ slot, mark: this.at(slot).mark }));
  }
  logIn(slot: string, password: string): "accepted" | "refused" {
    return this.isLive(slot) && this.at(slot).password === password ? "accepted" : "refused";
  }
  openSession(slot: string): number {
    const session = ++this.#sessions;
    this.put(slot, { sessions: new Set([...this.at(slot).sessions, session]) });
    return session;
  }
}
