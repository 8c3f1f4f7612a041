import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { Session } from "node:inspector/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";

const profile = z.object({
  /** Microseconds of the machine's monotonic clock, which all of its processes share. */
  startTime: z.number(),
  nodes: z.array(
    z.object({
      id: z.number(),
      callFrame: z.object({ functionName: z.string(), url: z.string(), lineNumber: z.number() }),
    }),
  ),
  samples: z.array(z.number()),
  timeDeltas: z.array(z.number()),
});

/** Where a process of Node's spends its time: the profile that it writes when it ends. */
export interface CpuProfile extends AsyncDisposable {
  /** For the process's environment, beside what other options of Node's it has. */
  environment(options?: string): Readonly<Record<string, string>>;
  /** What follows counts, and what was before (a start, say) does not. */
  begin(): void;
  /** What follows does not count any more. */
  end(): void;
  /** The functions with the most time of their own, each a line; after the process has ended. */
  top(count: number): Promise<readonly string[]>;
}

export async function openCpuProfile(): Promise<CpuProfile> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-profile-"));
  const counted = { from: 0, to: Number.POSITIVE_INFINITY };
  return {
    environment: (options = "") => ({
      NODE_OPTIONS: `${options} --cpu-prof --cpu-prof-dir=${folder}`.trim(),
    }),
    begin: () => {
      counted.from = monotonicMicroseconds();
    },
    end: () => {
      counted.to = monotonicMicroseconds();
    },
    top: async (count) => {
      const [file] = await readdir(folder);
      if (file === undefined) return [];
      const read = profile.parse(JSON.parse(await readFile(join(folder, file), "utf8")));
      return topOf(read, count, counted);
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Where this process itself spends its time while it does `work`; see {@link CpuProfile}. */
export async function profileHere(
  count: number,
  work: () => Promise<unknown>,
): Promise<readonly string[]> {
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    await session.post("Profiler.start");
    await work();
    const { profile: taken } = await session.post("Profiler.stop");
    return topOf(profile.parse(taken), count, { from: 0, to: Number.POSITIVE_INFINITY });
  } finally {
    session.disconnect();
  }
}

const monotonicMicroseconds = (): number => Number(process.hrtime.bigint() / 1000n);
const IDLE = new Set(["(idle)", "(program)", "(root)"]);

function topOf(
  { startTime, nodes, samples, timeDeltas }: z.infer<typeof profile>,
  count: number,
  counted: { readonly from: number; readonly to: number },
): readonly string[] {
  const nameOf = new Map(nodes.map(({ id, callFrame }) => [id, shownFrame(callFrame)] as const));
  const spent = new Map<string, number>();
  let busy = 0;
  let at = startTime;
  for (const [index, id] of samples.entries()) {
    const name = nameOf.get(id) ?? "";
    const microseconds = timeDeltas[index] ?? 0;
    at += microseconds;
    const isOwn = name.includes(" node:inspector:");
    if (IDLE.has(name) || isOwn || at < counted.from || at > counted.to) continue;
    busy += microseconds;
    spent.set(name, (spent.get(name) ?? 0) + microseconds);
  }
  return [...spent]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([name, microseconds]) => `${((100 * microseconds) / busy).toFixed(1)} % ${name}`);
}

interface Frame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

const ROOT = new URL("../../", import.meta.url).href;

/** Its file from the repository's root on, so that the page is the same on every machine. */
function shownFrame({ functionName, url, lineNumber }: Frame): string {
  const name = functionName === "" ? "(anonymous)" : functionName;
  const file = url
    .replace(ROOT, "")
    .replace(/^.*\/node_modules\/(?:\.pnpm\/[^/]+\/node_modules\/)?/, "");
  const own = file.replace(/^file:.*\/(packages|services)\//, "$1/");
  return own === "" ? name : `${name} ${own}:${lineNumber + 1}`;
}
