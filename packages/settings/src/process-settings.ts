import { readSettings, type Environment, type Settings } from "./read-settings.ts";
import { configInvalid } from "./variable.ts";
import { CLIENT_SETTINGS } from "./client-variables.ts";
import { VARIABLE_NAMES } from "./variable-names.ts";
import { VARIABLES } from "./variables.ts";

type Keys<R extends string> = {
  [K in keyof typeof VARIABLES]: R extends (typeof VARIABLES)[K]["readers"][number] ? K : never;
}[keyof typeof VARIABLES];

export type BrokerSettings = Pick<Settings<typeof VARIABLES>, Keys<"broker">>;
export type WorkerSettings = Pick<Settings<typeof VARIABLES>, Keys<"worker">>;
export type MigrateSettings = Pick<Settings<typeof VARIABLES>, Keys<"migrate">>;
export type ClientSettings = Settings<typeof CLIENT_SETTINGS>;

type ReadFile = (path: string) => string;

export function readBrokerSettings(environment: Environment, readFile: ReadFile): BrokerSettings {
  const settings = checked(
    readSettings(VARIABLES, VARIABLE_NAMES, "broker", environment, readFile),
  );
  if ((settings.tlsCertFile === null) !== (settings.tlsKeyFile === null)) {
    throw configInvalid("MAYFLY_TLS_CERT_FILE: set it and MAYFLY_TLS_KEY_FILE, or neither");
  }
  return settings;
}
export function readWorkerSettings(environment: Environment, readFile: ReadFile): WorkerSettings {
  return checked(readSettings(VARIABLES, VARIABLE_NAMES, "worker", environment, readFile));
}
export function readMigrateSettings(environment: Environment, readFile: ReadFile): MigrateSettings {
  return readSettings(VARIABLES, VARIABLE_NAMES, "migrate", environment, readFile);
}
/** Of the `mayfly` command, other than at `migrate`; what it does not need may be missing. */
export function readClientSettings(environment: Environment, readFile: ReadFile): ClientSettings {
  return readSettings(CLIENT_SETTINGS, VARIABLE_NAMES, "cli", environment, readFile);
}

function checked<S extends WorkerSettings>(settings: S): S {
  if (settings.queue === "redis" && settings.redisUrl === null) {
    throw configInvalid("MAYFLY_REDIS_URL: it is required when MAYFLY_QUEUE is redis");
  }
  if ((settings.sealingKeyFile === null) === (settings.sealingKeys === null)) {
    throw configInvalid("MAYFLY_SEALING_KEY_FILE: set it or MAYFLY_SEALING_KEYS, one of the two");
  }
  return settings;
}

/** What weakens a guarantee and is not at its safe default: warned of at each start, by name. */
export function unsafeSettings(settings: WorkerSettings): readonly string[] {
  const unsafe: string[] = [];
  if (settings.unsafeClockSkewSeconds < 60) unsafe.push(VARIABLES.unsafeClockSkewSeconds.name);
  if (settings.unsafeQuarantineSeconds < 300) unsafe.push(VARIABLES.unsafeQuarantineSeconds.name);
  if (settings.unsafeFailPoint !== null) unsafe.push(VARIABLES.unsafeFailPoint.name);
  return unsafe;
}
