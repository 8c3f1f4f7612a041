import { addressOf, type AccountSettings } from "./account-settings.ts";
import type { BrokerCredentials } from "./broker-credentials.ts";
import type { Transport } from "./transport.ts";

export type Transports = Readonly<Record<"sts" | "iam", Transport>>;

/** All that the SDK would else read of the environment and its files. */
export function clientOptions(
  settings: AccountSettings,
  transports: Transports,
  service: "sts" | "iam",
  credentials: BrokerCredentials | undefined,
) {
  const { region, origin: endpoint } = addressOf(settings, service);
  return {
    region,
    endpoint,
    requestHandler: transports[service].handler,
    maxAttempts: 1,
    retryMode: "standard",
    defaultsMode: "standard" as const,
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    ...(credentials === undefined ? {} : { credentials }),
  };
}
