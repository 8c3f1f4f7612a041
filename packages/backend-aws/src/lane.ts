import { SharedLook } from "@mayfly/backend-kit";
import type { BackendHost, CallContext } from "@mayfly/spec";
import { addressOf, type AccountSettings } from "./account-settings.ts";
import type { AwsApi } from "./aws-api.ts";
import type { Transports } from "./client-options.ts";
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
  readonly api: () => Promise<AwsApi>;
  /** By place, of all that ask at once in this process. */
  readonly looks: Shared<DenyLook>;
  readonly rewrites: Shared<void>;
  readonly transports: Transports;
}

type Shared<T> = (place: string) => Promise<T>;

export function createLane(
  settings: AccountSettings,
  host: BackendHost,
  closing: AbortSignal,
): Lane {
  const transports = createTransports(settings, host);
  // Nobody's call in particular: each of its requests has a bound of its own.
  const context: CallContext = { clock: host.clock, signal: closing, traceId: "" };
  const lane: Lane = {
    settings,
    host,
    api: apiOf(settings, host, transports),
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

/** The SDK takes a tenth of a second to load: nobody waits for it who has no account of AWS. */
function apiOf(
  settings: AccountSettings,
  host: BackendHost,
  transports: Transports,
): () => Promise<AwsApi> {
  let loading: Promise<AwsApi> | null = null;
  return () =>
    (loading ??= import("./aws-api.ts").then(({ createAwsApi }) =>
      createAwsApi(settings, host, transports),
    ));
}

function createTransports(settings: AccountSettings, host: BackendHost): Transports {
  const transport = (service: "sts" | "iam", slots: number): Transport =>
    createTransport(host, addressOf(settings, service), {
      slots,
      seconds: settings.call_seconds_max,
    });
  return { sts: transport("sts", MINT_SLOTS), iam: transport("iam", DENY_SLOTS) };
}

export async function closeLane({ transports }: Lane): Promise<void> {
  await Promise.all(Object.values(transports).map((each) => each.close()));
}
