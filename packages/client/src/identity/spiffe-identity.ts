import { SourceFailure, type IdentitySource } from "./identity-source.ts";
import {
  decodeJwtSvidResponse,
  encodeJwtSvidRequest,
  type JwtSvid,
} from "./workload-api-messages.ts";

const VARIABLE = "SPIFFE_ENDPOINT_SOCKET";
const METHOD = "/SpiffeWorkloadAPI/FetchJWTSVID";
const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 64 * 1024;

export interface SpiffeIdentityOptions {
  /** `unix:///path` or `tcp://address:port`. Default: SPIFFE_ENDPOINT_SOCKET. */
  readonly socket?: string;
  /** Which of the workload's SPIFFE IDs, where it has several. Default: the first. */
  readonly spiffeId?: string;
}

/** A JWT-SVID by the SPIFFE Workload API. Needs `@grpc/grpc-js` beside this package. */
export function spiffeIdentity(options: SpiffeIdentityOptions = {}): IdentitySource {
  return {
    kind: "spiffe",
    whyNot: async (around) =>
      (options.socket ?? around.variable(VARIABLE) ?? "") === "" ? `${VARIABLE} is not set` : null,
    prove: async (audience, around, signal) => {
      const socket = options.socket ?? around.variable(VARIABLE) ?? "";
      if (socket === "") throw new SourceFailure(`${VARIABLE} is not set`);
      const request = encodeJwtSvidRequest(audience, options.spiffeId ?? null);
      const deadlineAt = around.clock.now() + TIMEOUT_MS;
      const svids = await fetchSvids(targetOf(socket), request, deadlineAt, signal);
      const found = svids[0];
      if (found === undefined) throw new SourceFailure("the Workload API gave no SVID");
      return found.svid;
    },
  };
}

/**
 * SPIFFE Workload Endpoint section 4: `unix:///absolute/path`, or `tcp://` with an IP address and a
 * port. gRPC's own names for both.
 */
export function targetOf(socket: string): string {
  const unix = /^unix:(?:\/\/)?(\/[^?#]+)$/.exec(socket)?.[1];
  if (unix !== undefined) return `unix://${unix}`;
  const tcp = /^tcp:\/\/((?:\d{1,3}\.){3}\d{1,3}:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})$/.exec(socket);
  if (tcp?.[1] !== undefined) return `dns:${tcp[1]}`;
  throw new SourceFailure(
    `${VARIABLE} is no Workload API endpoint: expected unix:///path or tcp://<ip>:<port>`,
  );
}

async function fetchSvids(
  target: string,
  request: Uint8Array,
  deadline: number,
  signal: AbortSignal | undefined,
): Promise<readonly JwtSvid[]> {
  const grpc = await loadGrpc();
  const client = new grpc.Client(target, grpc.credentials.createInsecure(), {
    "grpc.max_receive_message_length": ANSWER_BYTES_MAX,
    // The agent answers on this machine: a proxy of the environment has no business there.
    "grpc.enable_http_proxy": 0,
  });
  const metadata = new grpc.Metadata();
  // SPIFFE Workload Endpoint section 5: without it the agent must refuse.
  metadata.set("workload.spiffe.io", "true");
  try {
    return await new Promise<readonly JwtSvid[]>((resolve, reject) => {
      const call = client.makeUnaryRequest<Uint8Array, readonly JwtSvid[]>(
        METHOD,
        (message) => Buffer.from(message),
        decodeJwtSvidResponse,
        request,
        metadata,
        { deadline },
        (error, answer) => {
          if (answer !== undefined && error === null) resolve(answer);
          else reject(failureOf(error, grpc.status));
        },
      );
      signal?.addEventListener("abort", () => call.cancel(), { once: true });
    });
  } finally {
    client.close();
  }
}

/** Only when this identity is asked for: the package is an optional one. */
async function loadGrpc() {
  try {
    return await import("@grpc/grpc-js");
  } catch {
    throw new SourceFailure(
      "the package @grpc/grpc-js is not installed: npm install @grpc/grpc-js",
    );
  }
}

/** The codes that SPIFFE Workload API section 6 gives a meaning, and the name of any other. */
function failureOf(
  error: { readonly code: number } | null,
  names: Readonly<Record<string, string | number>>,
): SourceFailure {
  const name = error === null ? "no answer" : String(names[String(error.code)] ?? error.code);
  const why: Readonly<Record<string, string>> = {
    PERMISSION_DENIED: "no registration entry matches this workload",
    UNAVAILABLE: "no agent answers at the socket",
    DEADLINE_EXCEEDED: "the agent did not answer in time",
  };
  return new SourceFailure(`the Workload API: ${why[name] ?? name} (${name})`);
}
