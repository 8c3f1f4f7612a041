import { readFileSync } from "node:fs";
import { readBrokerSettings, type BrokerSettings } from "@mayfly/settings";

/** The only reader of this process's environment. */
export const brokerSettingsFromEnvironment = (): BrokerSettings =>
  readBrokerSettings(process.env, (path) => readFileSync(path, "utf8"));
