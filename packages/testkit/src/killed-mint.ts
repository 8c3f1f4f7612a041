import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  instantMs,
  parseId,
  type PoolingHost,
  type CredentialBackend,
  type IssuePlan,
} from "@mayfly/spec";
import type { TcpFaultProxy } from "./tcp-fault-proxy.ts";

/** What a process that is to be killed is told, as JSON in its first argument. */
interface Order {
  readonly config: unknown;
  readonly plan: IssuePlan;
}

const ISSUED = "issued";

/** The body of such a process: mints as ordered, says so, and stays. */
export async function mintAsOrdered(backend: CredentialBackend, host: PoolingHost): Promise<void> {
  const { config, plan } = JSON.parse(process.argv[2] ?? "") as Order;
  const { clock } = host;
  await backend.open(backend.parseConfig(config), host).issue(plan, {
    clock,
    signal: new AbortController().signal,
    traceId: "killed",
    taskId: parseId("task", plan.leaseId.replace("lease_", "task_"), "taskId"),
    issueBy: instantMs(clock.now() + 60_000),
    checkpoint: async () => undefined,
  });
  process.stdout.write(ISSUED);
  await clock.sleep(600_000);
}

export interface KilledMint extends Order {
  /** The program: calls {@link mintAsOrdered}. */
  readonly program: string;
  /** The process reaches the upstream by it. */
  readonly proxy: TcpFaultProxy;
  /** A text in what the process sends next when it is killed; null: once all was answered. */
  readonly at: string | null;
}

/**
 * Mints in a process of its own, and kills that (SIGKILL) when it is about to send something, or
 * before it could tell anybody that it was done. What it had sent last may arrive or not.
 */
export async function killMint({ program, config, plan, proxy, at }: KilledMint): Promise<void> {
  const order: Order = { config, plan };
  const child = spawn(process.execPath, [program, JSON.stringify(order)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const issued = once(child.stdout, "data");
  const reached = new Promise<void>((resolve) => {
    if (at === null) return;
    proxy.hold((piece) => {
      const isIt = piece.includes(at);
      if (isIt) resolve();
      return isIt;
    });
  });
  const ended = await Promise.race([
    reached.then(() => "reached"),
    issued.then(() => ISSUED),
    exited.then(() => "ended by itself"),
  ]);
  child.kill("SIGKILL");
  proxy.release();
  await exited;
  if (ended !== (at === null ? ISSUED : "reached")) {
    throw new Error(`it was to be killed at ${at ?? "its end"}: ${ended}`);
  }
}
