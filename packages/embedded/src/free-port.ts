import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** Below those that systems give to outgoing connections by themselves: 32768 and up on Linux. */
const FIRST = 10_000;
const BEYOND = 32_000;
const TRIES_MAX = 200;

/**
 * A TCP port of 127.0.0.1 that was free a moment ago. Another process may take it before it is
 * used, by chance: `startPostgres` and `startRedis` try again with another when that happens to
 * them. A port that the system picks would be taken by the next connection that anybody opens,
 * while a server that needs seconds to start is still on its way to it.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const port = randomInt(FIRST, BEYOND);
    if (await isFree(port)) return port;
  }
  throw new Error(`of ${TRIES_MAX} ports from ${FIRST} to ${BEYOND} none is free on 127.0.0.1`);
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(false);
      else reject(error);
    });
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
