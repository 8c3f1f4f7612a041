/** Real PostgreSQL, Redis and MariaDB servers for development, the demo and tests. */
export { EmbeddedError, type EmbeddedErrorParts } from "./embedded-error.ts";
export { freePort } from "./free-port.ts";
export { freshDatabase } from "./fresh-database.ts";
export { clientRuntime, clientRuntimes, type ClientRuntime } from "./client-runtime.ts";
export {
  startGuarded,
  type GuardedProcess,
  type GuardedProcessOptions,
  type ProcessExit,
} from "./guarded-process.ts";
export {
  defaultPostgresVersion,
  postgresVersions,
  type PostgresVersion,
} from "./postgres-binaries.ts";
export { lockedPython } from "./locked-python.ts";
export { reachableDataDir } from "./reachable-directory.ts";
export { startPostgres, type EmbeddedPostgres, type PostgresOptions } from "./start-postgres.ts";
export {
  postgresVersionsToTest,
  requireOrExplain,
  testServers,
  type TestServer,
} from "./require-or-explain.ts";
export { motoPython } from "./moto-python.ts";
export { startMoto, type EmbeddedMoto, type MotoMissing } from "./start-moto.ts";
export { startOpenbao, type EmbeddedOpenbao, type OpenbaoMissing } from "./start-openbao.ts";
export {
  startRabbitmq,
  type EmbeddedRabbitmq,
  type RabbitmqMissing,
  type RabbitmqOptions,
} from "./start-rabbitmq.ts";
export {
  startRedis,
  type EmbeddedRedis,
  type RedisMissing,
  type RedisOptions,
} from "./start-redis.ts";
export { startSshd, type EmbeddedSshd, type SshdOptions } from "./start-sshd.ts";
export {
  startMariadb,
  type EmbeddedMariadb,
  type MariadbMissing,
  type MariadbOptions,
} from "./start-mariadb.ts";
