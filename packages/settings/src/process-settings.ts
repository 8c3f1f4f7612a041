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
/** What broker and worker have in common. */
export type SharedSettings = Pick<WorkerSettings, keyof WorkerSettings & keyof BrokerSettings>;
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
  if (settings.tlsFromWorkloadApi) {
    if (settings.workloadApi === null) {
      throw configInvalid("MAYFLY_TLS_FROM_WORKLOAD_API: it needs MAYFLY_WORKLOAD_API");
    }
    if (settings.tlsCertFile !== null) {
      throw configInvalid("MAYFLY_TLS_FROM_WORKLOAD_API: set it or MAYFLY_TLS_CERT_FILE, not both");
    }
  }
  if (isPlainBeyondLoopback(settings) && !settings.unsafePlainHttp) {
    throw configInvalid(
      `MAYFLY_LISTEN: ${settings.listen.host} is beyond loopback, and tokens and credentials would ` +
        "go over the network in the clear: set MAYFLY_TLS_CERT_FILE and MAYFLY_TLS_KEY_FILE, or " +
        "name the proxy that speaks TLS in MAYFLY_TRUSTED_PROXIES, with an https URL in " +
        "MAYFLY_ISSUER, or set MAYFLY_UNSAFE_PLAIN_HTTP=true where nobody else can read there",
    );
  }
  return settings;
}

/** Neither TLS of its own, nor a named proxy in front of which the public URL is https. */
function isPlainBeyondLoopback(settings: BrokerSettings): boolean {
  const { host } = settings.listen;
  const isLoopback = host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
  if (isLoopback || settings.tlsCertFile !== null || settings.tlsFromWorkloadApi) return false;
  return settings.trustedProxies.length === 0 || !settings.issuer.startsWith("https:");
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

function checked<S extends SharedSettings>(settings: S): S {
  if (settings.queue === "redis" && settings.redisUrl === null) {
    throw configInvalid("MAYFLY_REDIS_URL: it is required when MAYFLY_QUEUE is redis");
  }
  if ((settings.sealingKeyFile === null) === (settings.sealingKeys === null)) {
    throw configInvalid(
      "MAYFLY_SEALING_KEY_FILE: set it or MAYFLY_SEALING_KEYS, one of the two; docs/config.md makes one",
    );
  }
  return settings;
}

/** What weakens a guarantee and is not at its safe default: warned of at each start, by name. */
export function unsafeSettings(settings: SharedSettings): readonly string[] {
  const unsafe: string[] = [];
  if ("unsafePlainHttp" in settings && settings.unsafePlainHttp === true) {
    unsafe.push(VARIABLES.unsafePlainHttp.name);
  }
  if (settings.unsafeClockSkewSeconds < 60) unsafe.push(VARIABLES.unsafeClockSkewSeconds.name);
  if (settings.unsafeQuarantineSeconds < 300) unsafe.push(VARIABLES.unsafeQuarantineSeconds.name);
  if (settings.unsafeFailPoint !== null) unsafe.push(VARIABLES.unsafeFailPoint.name);
  return unsafe;
}
