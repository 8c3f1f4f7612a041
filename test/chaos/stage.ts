import { setTimeout as sleep } from "node:timers/promises";
import type { Draw } from "../simulation/draw.ts";
import {
  ConnectionLost,
  createBrokerApi,
  type BrokerApi,
  type Installation,
  type Leak,
  type Programs,
  type Reply,
} from "../harness/index.ts";
import type { Family } from "./blows.ts";
import type { Score } from "./score.ts";

/** Something that must not be: a leak, or a migration that did not come to its end. */
export type Finding = Leak | { readonly kind: "migration"; readonly words: string };

/** What all who play a part share. */
export interface Stage {
  readonly mayfly: Installation;
  readonly programs: Programs;
  readonly score: Score;
  /** The brokers that run now, by URL, with what has to be asked of them. */
  readonly brokers: Map<string, Family>;
  /** By their words: what is seen twice is one. */
  readonly findings: Map<string, Finding>;
  isOver: boolean;
}

/** How often a broker is asked that waits for just this. */
const FITTING = 0.75;

/** Asks some broker that runs; null when no answer came. */
export async function ask(
  stage: Stage,
  draw: Draw,
  family: Family,
  request: (api: BrokerApi) => Promise<Reply>,
): Promise<Reply | null> {
  const all = [...stage.brokers];
  const fitting = all.filter(([, wants]) => wants === family);
  const choice = fitting.length > 0 && draw.chance(FITTING) ? fitting : all;
  const [first, ...others] = choice.map(([url]) => url);
  if (first === undefined) {
    await sleep(50);
    return null;
  }
  try {
    return await request(createBrokerApi(draw.of([first, ...others]), stage.mayfly.adminToken));
  } catch (error) {
    if (error instanceof ConnectionLost) return null;
    throw error;
  }
}
