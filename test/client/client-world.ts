import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startInstallation, type Installation, type RunningBroker } from "../harness/index.ts";

/** An installation with a broker and a worker, and a workload's token in a file. */
export interface ClientWorld extends AsyncDisposable {
  readonly installation: Installation;
  readonly broker: RunningBroker;
  /** Options of the SDK that reach this broker as this workload. */
  readonly reach: { readonly url: string; readonly issuer: string };
  readonly folder: string;
  /** Writes a fresh SVID of the agent; answers the path. */
  tokenFile(agent: string): Promise<string>;
  taskState(id: string): Promise<string>;
  kill(id: string): Promise<void>;
}

export async function startClientWorld(
  settings: Readonly<Record<string, string>> = {},
): Promise<ClientWorld> {
  await using started = new AsyncDisposableStack();
  const installation = started.use(await startInstallation({ settings }));
  const folder = await mkdtemp(join(tmpdir(), "mayfly-client-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const broker = await installation.startBroker();
  await installation.startWorker();
  await installation.register(broker);
  const all = started.move();
  return {
    installation,
    broker,
    folder,
    reach: { url: broker.api.url, issuer: installation.issuer },
    tokenFile: async (agent) => {
      const path = join(folder, `${agent}.jwt`);
      await writeFile(path, `${installation.svid(agent)}\n`, { mode: 0o600 });
      return path;
    },
    taskState: async (id) => {
      const { body } = await broker.api.admin("GET", `/v1/tasks/${id}`);
      return String(Reflect.get(Object(body), "state"));
    },
    kill: async (id) => {
      await broker.api.admin("POST", `/v1/tasks/${id}/kill`, { reason: "a test" });
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}
