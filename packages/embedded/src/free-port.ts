import { once } from "node:events";
import { createServer } from "node:net";

/**
 * A TCP port of 127.0.0.1 that was free a moment ago. Another process may take it before it is
 * used; `startPostgres` and `startRedis` try again with another when that happens to them.
 */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") {
    throw new TypeError(`a TCP listener has no port: ${String(address)}`);
  }
  return address.port;
}
