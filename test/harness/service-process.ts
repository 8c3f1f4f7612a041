import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createSlots } from "@mayfly/core";
import { startGuarded, type GuardedProcess, type ProcessExit } from "@mayfly/embedded";
import { until } from "./until.ts";

export type ServiceName = "broker" | "worker";
/** `migrator` is the command `mayfly migrate`, which ends by itself. */
export type ProcessName = ServiceName | "migrator";
export type Environment = Readonly<Record<string, string>>;

/**
 * A real process of Mayfly, started from its `main.ts`. It cannot outlive the process of the
 * test.
 */
export interface ServiceProcess {
  readonly service: ProcessName;
  readonly pid: number;
  readonly exited: Promise<ProcessExit>;
  hasEnded(): boolean;
  /** All that it wrote so far, standard output and error. */
  output(): string;
  /** Resolves when a line contains the text, with that line; throws if the process ends before. */
  line(text: string, withinMs?: number): Promise<string>;
  /** SIGTERM, and waits; a process that does not end by itself fails the test. */
  stop(): Promise<void>;
  /** SIGKILL, and waits. */
  kill(): Promise<void>;
  /** SIGSTOP. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** Whether it stands still now. */
  isFrozen(): Promise<boolean>;
  /** Waits until the process stands still, by its own SIGSTOP or ours. */
  frozen(withinMs?: number): Promise<void>;
}

const START_MS_MAX = 120_000;
const STOP_MS_MAX = 90_000;
const READY: Readonly<Record<ServiceName, string>> = {
  broker: "broker listens",
  worker: "worker runs",
};

const REPOSITORY = join(import.meta.dirname, "../..");
/** What each process runs: the file with its `main`. */
export interface Programs extends Readonly<Record<ProcessName, string>> {
  /** Where Node keeps what it compiled of them. A process that is killed writes nothing there. */
  readonly compiled: string;
  /** A script that has a command keep it there, in no variable that the command hands on. */
  readonly keepCompiled: string;
}
export const SOURCES: Programs = {
  compiled: join(REPOSITORY, ".mayfly/compiled"),
  keepCompiled: join(REPOSITORY, "bootstrap/keep-compiled.cjs"),
  broker: join(REPOSITORY, "services/broker/src/main.ts"),
  worker: join(REPOSITORY, "services/worker/src/main.ts"),
  migrator: join(REPOSITORY, "packages/cli/src/main.ts"),
};
const ARGUMENTS: Readonly<Record<ProcessName, readonly string[]>> = {
  broker: [],
  worker: [],
  migrator: ["migrate", "--json"],
};
/** A start takes a core for seconds. What runs already is not starved by a dozen of them. */
const starts = createSlots(2);

/** Starts the service with these MAYFLY_ variables and no others, and waits until it is ready. */
export const startService = (
  service: ServiceName,
  environment: Environment,
  programs: Programs,
): Promise<ServiceProcess> => starts.run(() => startReady(service, environment, programs));

async function startReady(
  service: ServiceName,
  environment: Environment,
  programs: Programs,
): Promise<ServiceProcess> {
  const started = await startProcess(service, environment, programs);
  try {
    await started.line(READY[service], START_MS_MAX);
  } catch (error) {
    await started.kill();
    throw error;
  }
  return started;
}

/** Starts it and waits for nothing. */
export async function startProcess(
  name: ProcessName,
  environment: Environment,
  programs: Programs,
): Promise<ServiceProcess> {
  const lines: string[] = [];
  const guarded = await startGuarded({
    command: process.execPath,
    args: [programs[name], ...ARGUMENTS[name]],
    // Nothing less ends a process that stands still.
    parentDeathSignal: "KILL",
    user: undefined,
    env: {
      PATH: process.env["PATH"] ?? "",
      NODE_NO_WARNINGS: "1",
      NODE_COMPILE_CACHE: programs.compiled,
      ...environment,
    },
    input: undefined,
    log: (line) => lines.push(line),
  });
  return handle(name, guarded, lines);
}

function handle(service: ProcessName, guarded: GuardedProcess, lines: string[]): ServiceProcess {
  const output = (): string => lines.join("\n");
  const kill = async (): Promise<void> => {
    guarded.signal("SIGKILL");
    await guarded.exited;
  };
  return {
    service,
    pid: guarded.pid,
    exited: guarded.exited,
    hasEnded: () => guarded.hasEnded(),
    output,
    line: (text, withinMs = START_MS_MAX) =>
      until(`"${text}" of the ${service}`, withinMs, async () => {
        const found = lines.find((line) => line.includes(text));
        if (found !== undefined) return found;
        if (!guarded.hasEnded()) return undefined;
        await guarded.lastWords();
        throw new Error(`the ${service} ended without "${text}":\n${output()}`);
      }),
    stop: async () => {
      guarded.signal("SIGCONT");
      guarded.signal("SIGTERM");
      await until(`the end of the ${service}`, STOP_MS_MAX, async () => guarded.hasEnded());
    },
    kill,
    freeze: () => guarded.signal("SIGSTOP"),
    thaw: () => guarded.signal("SIGCONT"),
    isFrozen: async () => !guarded.hasEnded() && (await stateOf(guarded.pid)) === "T",
    frozen: async (withinMs = START_MS_MAX) => {
      await until(`the ${service} to stand still`, withinMs, async () => {
        if (guarded.hasEnded()) throw new Error(`the ${service} ended:\n${output()}`);
        return (await stateOf(guarded.pid)) === "T";
      });
    },
  };
}

/** Of Linux's /proc: `T` is stopped by a signal. */
async function stateOf(pid: number): Promise<string> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return /^State:\s+(\w)/m.exec(status)?.[1] ?? "";
}
