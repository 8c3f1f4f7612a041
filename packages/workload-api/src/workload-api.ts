import {
  Metadata,
  credentials,
  loadPackageDefinition,
  type ClientReadableStream,
  type ServiceClientConstructor,
} from "@grpc/grpc-js";
import {
  BrokerError,
  type AgentBundles,
  type AgentSvid,
  type CallContext,
  type Clock,
  type Followed,
  type Log,
  type WorkloadApi,
} from "@mayfly/spec";
import { agentAddress } from "./agent-address.ts";
import { followStream } from "./follow-stream.ts";
import { readBundles, readSvid } from "./read-messages.ts";
import { workloadApiProto } from "./workload-api-proto.ts";

export interface WorkloadApiOptions {
  /** `unix:///path` or `tcp://address:port`. */
  readonly socket: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly keepalive?: Keepalive;
}

/** How an agent that hangs is told from one that has nothing to tell: it answers no ping. */
export interface Keepalive {
  readonly pingMs: number;
  readonly answerMs: number;
}

/** A gRPC server in Go, as SPIRE's agent is, cuts off who pings more often than every 5 minutes. */
const KEEPALIVE: Keepalive = { pingMs: 330_000, answerMs: 20_000 };

/** How long the first answer of an agent is waited for. */
const FIRST_MS_MAX = 5000;
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
const RECONNECT_MS = { min: 500, max: 5000 } as const;

const STREAMS = ["FetchX509Bundles", "FetchJWTBundles", "FetchX509SVID"] as const;
type Stream = (typeof STREAMS)[number];

/** Throws `config_invalid` where the socket is no endpoint; makes no call before one is needed. */
export function createWorkloadApi({
  socket,
  clock,
  log,
  keepalive = KEEPALIVE,
}: WorkloadApiOptions): WorkloadApi {
  const stop = new AbortController();
  const open = streamOpener(agentAddress(socket), keepalive);
  const following: Promise<void>[] = [];
  const bundles = followedBundles(clock);
  let svid: AgentSvid | null = null;
  const svidListeners: ((svid: AgentSvid) => void)[] = [];
  let followsBundles = false;

  const follow = <T>(
    what: Stream,
    reader: {
      read: (message: unknown) => T;
      told: (state: T) => void;
      lost: () => void;
    },
  ): void => {
    const common = { what, clock, log, signal: stop.signal };
    following.push(followStream({ ...common, ...reader, open: () => open.stream(what) }));
  };
  const followBundles = (): void => {
    if (followsBundles || stop.signal.aborted) return;
    followsBundles = true;
    follow("FetchX509Bundles", bundles.reader("x509"));
    follow("FetchJWTBundles", bundles.reader("jwt"));
  };

  return {
    bundles: () => {
      followBundles();
      return bundles.held();
    },
    firstBundles: async (context) => {
      followBundles();
      return bundles.held() ?? bundles.first(context, stop.signal);
    },
    followSvid: (changed) => {
      svidListeners.push(changed);
      if (svid !== null) changed(svid);
      if (svidListeners.length > 1) return;
      const told = (next: AgentSvid): void => {
        svid = next;
        for (const listener of svidListeners) listener(next);
      };
      follow("FetchX509SVID", { read: readSvid, told, lost: () => undefined });
    },
    close: async () => {
      stop.abort(new Error("closed"));
      await Promise.all(following);
      open.close();
    },
  };
}

type Kind = keyof AgentBundles;

/** Both kinds of bundle are one state, which is lost as long as one of its streams is. */
function followedBundles(clock: Clock) {
  const told: Partial<AgentBundles> = {};
  const lostAtMs: Record<Kind, number | null> = { x509: null, jwt: null };
  let held: Followed<AgentBundles> | null = null;
  const arrived = Promise.withResolvers<Followed<AgentBundles>>();

  const refresh = (newest: AgentBundles | null): void => {
    if (newest === null) return;
    const lost = [lostAtMs.x509, lostAtMs.jwt].filter((each) => each !== null);
    held = { newest, lostAtMs: lost.length === 0 ? null : Math.min(...lost) };
    arrived.resolve(held);
  };
  return {
    held: () => held,
    reader: (kind: Kind) => ({
      read: readBundles,
      told: (bundles: ReadonlyMap<string, Uint8Array>): void => {
        Object.assign(told, { [kind]: bundles });
        lostAtMs[kind] = null;
        const { x509, jwt } = told;
        refresh(x509 === undefined || jwt === undefined ? null : { x509, jwt });
      },
      lost: (): void => {
        lostAtMs[kind] ??= clock.monotonicMs();
        refresh(held?.newest ?? null);
      },
    }),
    first: async (context: CallContext, stop: AbortSignal): Promise<Followed<AgentBundles>> => {
      const done = new AbortController();
      const signal = AbortSignal.any([context.signal, stop, done.signal]);
      const late = clock.sleep(FIRST_MS_MAX, signal).then(
        () => null,
        () => null,
      );
      const first = await Promise.race([arrived.promise, late]);
      done.abort(new Error("done"));
      if (first !== null) return first;
      throw new BrokerError("backend_unavailable", "the SPIFFE agent has told no bundles");
    },
  };
}

interface StreamOpener {
  stream(method: Stream): ClientReadableStream<unknown>;
  close(): void;
}

function streamOpener(target: string, { pingMs, answerMs }: Keepalive): StreamOpener {
  const loaded = loadPackageDefinition(workloadApiProto());
  // What was loaded is a service, as its description says.
  const Service = loaded["SpiffeWorkloadAPI"] as ServiceClientConstructor;
  const client = new Service(target, credentials.createInsecure(), {
    "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
    "grpc.initial_reconnect_backoff_ms": RECONNECT_MS.min,
    "grpc.max_reconnect_backoff_ms": RECONNECT_MS.max,
    "grpc.keepalive_time_ms": pingMs,
    "grpc.keepalive_timeout_ms": answerMs,
    // The agent answers on this machine: a proxy of the environment has no business there.
    "grpc.enable_http_proxy": 0,
  });
  return {
    stream: (method) => {
      const metadata = new Metadata();
      // SPIFFE Workload Endpoint section 5: without it the agent must refuse.
      metadata.set("workload.spiffe.io", "true");
      const call: unknown = client[method];
      if (typeof call !== "function") throw new Error(`no method ${method}`);
      return call.call(client, {}, metadata) as ClientReadableStream<unknown>;
    },
    close: () => client.close(),
  };
}
