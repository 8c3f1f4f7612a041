export { configPage } from "./config-page.ts";
export {
  readBrokerSettings,
  readMigrateSettings,
  readWorkerSettings,
  unsafeSettings,
  type BrokerSettings,
  type MigrateSettings,
  type WorkerSettings,
} from "./process-settings.ts";
export type { ListenAddress } from "./variable.ts";
