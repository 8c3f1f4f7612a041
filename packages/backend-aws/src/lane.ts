import { IAMClient } from "@aws-sdk/client-iam";
import { STSClient } from "@aws-sdk/client-sts";
import { SharedLook } from "@mayfly/backend-kit";
import type { BackendHost, CallContext } from "@mayfly/spec";
import { addressOf, type AccountSettings } from "./account-settings.ts";
import { brokerCredentials, type BrokerCredentials } from "./broker-credentials.ts";
import { lookAtDenies, type DenyLook } from "./look-at-denies.ts";
import { rewriteDenies } from "./rewrite-denies.ts";
import { createTransport, type Transport } from "./transport.ts";

/** Requests under way at once, so that ending never waits behind issuing. */
const MINT_SLOTS = 8;
const DENY_SLOTS = 8;

/** What the operations of one open backend share. */
export interface Lane {
  readonly settings: AccountSettings;
  readonly host: BackendHost;
  readonly sts: STSClient;
  readonly iam: IAMClient;
  /** By place, of all that ask at once in this process. */
  readonly looks: Shared<DenyLook>;
  readonly rewrites: Shared<void>;
  readonly transports: readonly Transport[];
}

type Shared<T> = (place: string) => Promise<T>;

export function createLane(
  settings: AccountSettings,
  host: BackendHost,
  closing: AbortSignal,
): Lane {
  const { sts, iam, transports } = createClients(settings, host);
  // Nobody's call in particular: each of its requests has a bound of its own.
  const context: CallContext = { clock: host.clock, signal: closing, traceId: "" };
  const lane: Lane = {
    settings,
    host,
    sts,
    iam,
    transports,
    looks: byPlace((place) => lookAtDenies(lane, place, context)),
    rewrites: byPlace((place) => rewriteDenies(lane, place, context)),
  };
  return lane;
}

/** Who asks while one is under way gets the next one, together with all others. */
function byPlace<T>(run: (place: string) => Promise<T>): Shared<T> {
  const shared = new Map<string, SharedLook<T>>();
  return (place) => {
    const known = shared.get(place) ?? new SharedLook(() => run(place));
    shared.set(place, known);
    return known.run();
  };
}

function createClients(
  settings: AccountSettings,
  host: BackendHost,
): Pick<Lane, "sts" | "iam" | "transports"> {
  const addresses = { sts: addressOf(settings, "sts"), iam: addressOf(settings, "iam") };
  const transport = (service: "sts" | "iam", slots: number): Transport =>
    createTransport(host, addresses[service], {
      slots,
      seconds: settings.call_seconds_max,
    });
  const transports = { sts: transport("sts", MINT_SLOTS), iam: transport("iam", DENY_SLOTS) };
  /** All that the SDK would else read of the environment and its files. */
  const options = (service: "sts" | "iam", credentials: BrokerCredentials | undefined) => ({
    region: addresses[service].region,
    endpoint: addresses[service].origin,
    requestHandler: transports[service].handler,
    maxAttempts: 1,
    retryMode: "standard",
    defaultsMode: "standard" as const,
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    ...(credentials === undefined ? {} : { credentials }),
  });
  const stsWith = (own: BrokerCredentials | undefined) => new STSClient(options("sts", own));
  const credentials = brokerCredentials(settings, host, stsWith);
  return {
    sts: stsWith(credentials),
    iam: new IAMClient(options("iam", credentials)),
    transports: Object.values(transports),
  };
}

export async function closeLane({ sts, iam, transports }: Lane): Promise<void> {
  sts.destroy();
  iam.destroy();
  await Promise.all(transports.map((each) => each.close()));
}
