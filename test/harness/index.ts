/** A whole Mayfly of real processes over a real PostgreSQL, for tests of the system. */
export {
  at,
  codeOf,
  ConnectionLost,
  createBrokerApi,
  grantedOf,
  listAt,
  textAt,
  type BrokerApi,
  type Credential,
  type Exchange,
  type Granted,
  type Reply,
} from "./broker-api.ts";
export { DEV_PORTS_MS_MAX, holdDevPorts } from "./hold-dev-ports.ts";
export { leaseRoleOf, rolesNow } from "./customer-watch.ts";
export type { Leak } from "./leaks.ts";
export { asSuperuser } from "./ledger-database.ts";
export { grantedOfPool, POOL, POOLED, registerPool } from "./pool.ts";
export {
  accepted,
  backendConfig,
  BACKEND,
  READER,
  registerOrders,
  TRUST_DOMAIN,
  WRITER,
} from "./registration.ts";
export { bundlePrograms } from "./bundle-programs.ts";
export { countedRun, type CountedRun } from "./counted-run.ts";
export { watchStop } from "./watch-stop.ts";
export { wholeNumber } from "./whole-number.ts";
export { startRestartable, type Restartable } from "./restartable-server.ts";
export { sharedServer, type ServerAddress } from "./server-address.ts";
export {
  SOURCES,
  startProcess,
  type Environment,
  type Programs,
  type ServiceProcess,
} from "./service-process.ts";
export {
  BRIEF_ISSUE,
  ISSUER,
  startInstallation,
  type Installation,
  type RunningBroker,
} from "./start-installation.ts";
export { testPrograms } from "./test-programs.ts";
export { pause, until } from "./until.ts";
export { writeMayflyCommand } from "./write-mayfly-command.ts";
