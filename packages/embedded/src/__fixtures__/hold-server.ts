import { startPostgres, startRedis } from "../index.ts";

/**
 * Starts a server in a directory, prints its process id and port, and stays until it is killed.
 * Usage: hold-server.ts postgres|redis <directory>
 */
const [, , kind, directory] = process.argv;
if (directory === undefined)
  throw new TypeError("usage: hold-server.ts postgres|redis <directory>");

if (kind === "postgres") {
  const { pid, port } = await startPostgres({ dataDir: directory });
  console.log(JSON.stringify({ pid, port }));
} else {
  const redis = await startRedis({ dir: directory });
  if (redis.missing !== undefined) throw new TypeError(`${redis.missing} is missing`);
  console.log(JSON.stringify({ pid: redis.pid, port: redis.port }));
}
