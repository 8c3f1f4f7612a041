import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startMarkOf } from "../process-table.ts";
import { waitUntil } from "../wait-until.ts";

const program = fileURLToPath(new URL("hold-server.ts", import.meta.url));

/** A process of its own that holds a server, so that a test can kill it. */
export interface Holder {
  readonly process: ChildProcess;
  readonly server: { readonly pid: number; readonly port: number };
}

export async function holdServer(kind: "postgres" | "redis", directory: string): Promise<Holder> {
  const child = spawn(process.execPath, [program, kind, directory], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await Promise.race([
    once(child.stdout, "data"),
    once(child, "exit").then(() => {
      throw new TypeError(`the holder of ${kind} ended`);
    }),
  ]);
  return { process: child, server: JSON.parse(String(line)) };
}

/** Kills a process as the kernel does when memory is short, and waits for its end. */
export async function killHard(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** Whether a process is gone within the time. */
export async function isGoneWithin(pid: number, deadlineMs: number): Promise<boolean> {
  const gone = await waitUntil(
    async () => ((await startMarkOf(pid)) === undefined ? true : undefined),
    { deadlineMs, everyMs: 20 },
  );
  return gone === true;
}
