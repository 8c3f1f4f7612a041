import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** One of the two servers of `http-shell-process.ts`, in a process of its own. */
export interface HttpServer extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

export async function startHttpServer(
  which: "mayfly" | "raw",
  environment: Readonly<Record<string, string>> = {},
): Promise<HttpServer> {
  const child: ChildProcess = fork(join(import.meta.dirname, "http-shell-process.ts"), [which], {
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    env: { ...process.env, NODE_ENV: "production", ...environment },
  });
  const [{ port }] = (await once(child, "message")) as [{ readonly port: number }];
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      const gone = once(child, "exit");
      child.disconnect();
      await gone;
    },
  };
}
