import { getHeapStatistics } from "node:v8";
import type { EncodesAgain, FuzzedParser } from "./fuzzed-parser.ts";

/** What one input cost. */
export interface InputCost {
  /** Of this thread: what others do on the machine, or in the process, is not counted. */
  readonly cpuMs: number;
  /** What was allocated, less what was collected meanwhile. */
  readonly heapBytes: number;
}

/**
 * Far above what any input costs where nothing is wrong, so that no busy machine makes a finding,
 * and far below what a quadratic parser takes of an input of its limit.
 */
const CPU_MS_MAX = 50;
const CPU_MS_PER_KIB = 1;
const HEAP_BYTES_MAX = 48 * 1024 * 1024;
const HEAP_BYTES_PER_BYTE = 64;
/** A collection, or a compilation, falls into one try; what is dear is dear in each. */
const TRIES = 3;

export const allowedCost = (characters: number): InputCost => ({
  cpuMs: CPU_MS_MAX + (CPU_MS_PER_KIB * characters) / 1024,
  heapBytes: HEAP_BYTES_MAX + HEAP_BYTES_PER_BYTE * characters,
});

/** What does not hold of an input is that it is too dear: to make it smaller would tell nothing. */
export class TooDear extends Error {
  override readonly name = "TooDear";
}

export interface MeasuredParse {
  readonly encodesAgain: EncodesAgain | null;
  readonly cost: InputCost;
}

/** Throws TooDear where each of some tries costs more than its length allows. */
export async function measuredParse(parser: FuzzedParser, input: string): Promise<MeasuredParse> {
  const allowed = allowedCost(input.length);
  let least: InputCost = { cpuMs: Infinity, heapBytes: Infinity };
  for (let tries = 0; tries < TRIES; tries += 1) {
    const before = spent();
    const encodesAgain = await parser.parse(input);
    const after = spent();
    const cost = {
      cpuMs: Math.min(least.cpuMs, after.cpuMs - before.cpuMs),
      heapBytes: Math.min(least.heapBytes, after.heapBytes - before.heapBytes),
    };
    if (cost.cpuMs <= allowed.cpuMs && cost.heapBytes <= allowed.heapBytes) {
      return { encodesAgain, cost };
    }
    least = cost;
  }
  throw new TooDear(
    `${parser.name} took ${least.cpuMs.toFixed(0)} ms of CPU and ${mebibytes(least.heapBytes)} ` +
      `for ${input.length} characters, where ${allowed.cpuMs.toFixed(0)} ms and ` +
      `${mebibytes(allowed.heapBytes)} are allowed`,
  );
}

function spent(): InputCost {
  const { user, system } = process.threadCpuUsage();
  const { used_heap_size: used, external_memory: external } = getHeapStatistics();
  return { cpuMs: (user + system) / 1000, heapBytes: used + external };
}

export const mebibytes = (bytes: number): string => `${(bytes / (1024 * 1024)).toFixed(1)} MiB`;
