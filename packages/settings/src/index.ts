export { configPage } from "./config-page.ts";
export {
  readBrokerSettings,
  readClientSettings,
  readMigrateSettings,
  readWorkerSettings,
  unsafeSettings,
  type BrokerSettings,
  type ClientSettings,
  type MigrateSettings,
  type SharedSettings,
  type WorkerSettings,
} from "./process-settings.ts";
export type { AddressRange, ListenAddress } from "./variable.ts";
