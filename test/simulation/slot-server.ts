import type { InstantMs } from "@mayfly/spec";
import { FakeUpstream, type FakeCredential, type FakeUpstreamOptions } from "@mayfly/testkit";

/** What a mint leaves at a slot, and an end asks for. */
export interface SlotTenant {
  readonly mark: string;
  readonly generation: number;
}
export interface SlotMint extends SlotTenant {
  readonly password: string;
  readonly groups: readonly string[];
  readonly expiresAt: InstantMs;
}

/** Why the server did nothing. */
export class SlotRefusal extends Error {
  override readonly name = "SlotRefusal";
}

interface Slot {
  readonly tenant: SlotMint | null;
  /** The highest that was ever there: what compares refuses anything below it. */
  readonly generation: number;
  /** Of the last whose credential worked there, and until when it did. */
  readonly left: { readonly mark: string; readonly at: InstantMs } | null;
}
const EMPTY: Slot = { tenant: null, generation: 0, left: null };

export interface SlotServerOptions extends FakeUpstreamOptions {
  /** Whether it refuses what comes under a lower generation than stands at the slot. */
  readonly compares: boolean;
  /** How long what a tenant made of its credential works on after it: the server ends none. */
  readonly tokenMs: number;
}

/**
 * A server of few principals, which are used again. It knows of no lease, and so it can say by
 * itself what should never happen: two at one slot, one struck by what was meant for another, one
 * that came while tokens of the one before still worked.
 */
export class SlotServer extends FakeUpstream {
  readonly compares: boolean;
  /** What should never have happened, and did. */
  readonly wrongs: string[] = [];
  readonly #tokenMs: number;
  readonly #slots = new Map<string, Slot>();

  constructor(options: SlotServerOptions) {
    super(options);
    this.compares = options.compares;
    this.#tokenMs = options.tokenMs;
  }

  #at(slot: string): Slot {
    return this.#slots.get(slot) ?? EMPTY;
  }

  mint(slot: string, mint: SlotMint): void {
    const { tenant, generation, left } = this.#at(slot);
    if (tenant?.mark === mint.mark || (this.compares && generation >= mint.generation)) {
      throw new SlotRefusal("another has the slot, or it was had already");
    }
    if (tenant !== null) this.#tell(slot, mint, `while ${nameOf(tenant)} was there`);
    const now = this.clock.now();
    if (left !== null && left.mark !== mint.mark && now < left.at + this.#tokenMs) {
      const ms = Math.round(now - left.at);
      this.#tell(slot, mint, `${ms} ms after ${nameOf(left)}, of which tokens work`);
    }
    this.#slots.set(slot, { tenant: mint, generation: mint.generation, left });
  }

  /** Whether exactly that tenant was there. What cannot compare ends whoever is. */
  end(slot: string, asked: SlotTenant): boolean {
    const before = this.#at(slot);
    const { tenant } = before;
    if (this.compares && before.generation > asked.generation) return false;
    if (tenant !== null && tenant.mark !== asked.mark) {
      this.#tell(slot, asked, `was to end, and ${nameOf(tenant)} did`);
    }
    const left = tenant === null ? before.left : { mark: tenant.mark, at: this.clock.now() };
    const generation = Math.max(before.generation, asked.generation);
    this.#slots.set(slot, { tenant: null, generation, left });
    return tenant?.mark === asked.mark;
  }

  prolong(slot: string, asked: SlotTenant, expiresAt: InstantMs): void {
    const before = this.#at(slot);
    if (before.tenant === null || before.tenant.mark !== asked.mark) {
      throw new SlotRefusal("it is gone");
    }
    this.#slots.set(slot, { ...before, tenant: { ...before.tenant, expiresAt } });
  }

  isThere(slot: string, { mark }: SlotTenant): boolean {
    return this.#at(slot).tenant?.mark === mark;
  }
  occupied(): readonly { readonly slot: string; readonly mark: string }[] {
    return [...this.#slots].flatMap(([slot, { tenant }]) =>
      tenant === null ? [] : [{ slot, mark: tenant.mark }],
    );
  }

  /** By the names of their leases: who opens a door with a slot. */
  override live(): readonly FakeCredential[] {
    return [...this.#slots.values()].flatMap(({ tenant }) =>
      tenant === null ? [] : [credentialOf(tenant)],
    );
  }
  override logIn(slot: string, password: string): "accepted" | "refused" {
    return this.#at(slot).tenant?.password === password ? "accepted" : "refused";
  }

  #tell(slot: string, whose: SlotTenant, what: string): void {
    this.wrongs.push(`${nameOf(whose)} at ${slot}: ${what}`);
  }
}

const nameOf = ({ mark }: { readonly mark: string }): string => mark.split(" ")[0] ?? mark;

const credentialOf = (tenant: SlotMint): FakeCredential => ({
  ...tenant,
  name: nameOf(tenant),
  id: tenant.generation,
  tag: tenant.mark,
  refusedFrom: null,
  sessions: 0,
});
