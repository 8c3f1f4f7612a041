import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** In Linux's abstract namespace: no file is left, and who dies lets it go. */
const NAME = "\0mayfly-tests-dev-ports";
/** Of the broker, of the demonstration's issuer, and of PostgreSQL. */
const PORTS: readonly number[] = [8420, 8421, 8432];
const EVERY_MS = 250;
/** Another run's page, of all that there are the longest, has them no longer. */
export const DEV_PORTS_MS_MAX = 900_000;

interface DevPorts {
  readonly name?: string;
  readonly ports?: readonly number[];
  readonly withinMs?: number;
}

/**
 * `npm run dev` has fixed ports, which pages and examples name as their readers do. Who starts it
 * waits here until nobody else on this machine has it running for a test, another file of the same
 * run or another run, and until the ports are free.
 */
export async function holdDevPorts(options: DevPorts = {}): Promise<AsyncDisposable> {
  const { name = NAME, ports = PORTS, withinMs = DEV_PORTS_MS_MAX } = options;
  const from = performance.now();
  let held: Server | null = null;
  for (;;) {
    held ??= await listeningAt(name);
    if (held !== null && (await areFree(ports))) return untilDisposed(held);
    if (performance.now() - from > withinMs) {
      held?.close();
      throw new Error(`waited ${withinMs} ms in vain for another npm run dev to end`);
    }
    await sleep(EVERY_MS);
  }
}

const untilDisposed = (held: Server): AsyncDisposable => ({
  [Symbol.asyncDispose]: async () => {
    held.close();
    await once(held, "close");
  },
});

async function areFree(ports: readonly number[]): Promise<boolean> {
  for (const port of ports) {
    const tried = await listeningAt({ port, host: "127.0.0.1" });
    if (tried === null) return false;
    tried.close();
    await once(tried, "close");
  }
  return true;
}

/** Null: somebody else has it. */
async function listeningAt(
  place: string | { readonly port: number; readonly host: string },
): Promise<Server | null> {
  // Nobody has anything to say there.
  const server = createServer((socket) => socket.destroy());
  try {
    if (typeof place === "string") server.listen(place);
    else server.listen(place);
    await once(server, "listening");
    return server.unref();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") return null;
    throw error;
  }
}
