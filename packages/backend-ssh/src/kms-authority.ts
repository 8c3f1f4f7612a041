import { createPublicKey } from "node:crypto";
import { serverTls } from "@mayfly/backend-kit";
import {
  GetPublicKeyCommand,
  KMSClient,
  SignCommand,
  type SigningAlgorithmSpec,
} from "@aws-sdk/client-kms";
import type {
  AuthorityKey,
  BackendHost,
  BackendKeyAlgorithm,
  CallContext,
  OutboundApi,
} from "@mayfly/spec";
import type { KmsKeySettings } from "./authority-key-settings.ts";
import type { AuthoritySource } from "./authority-source.ts";
import { keyOfAuthority } from "./key-of-authority.ts";

const ALGORITHMS: Readonly<Record<BackendKeyAlgorithm, SigningAlgorithmSpec | null>> = {
  ES256: "ECDSA_SHA_256",
  RS256: "RSASSA_PKCS1_V1_5_SHA_256",
  // KMS has it, and moto, which it is tried on, has not.
  EdDSA: null,
};

/** `Sign` takes no more as a whole message: https://docs.aws.amazon.com/kms/latest/APIReference/. */
const MESSAGE_BYTES_MAX = 4_096;
const CALLS_AT_ONCE = 4;
/** Half of what the type may take for an issue. */
const CALL_MS_MAX = 2_500;
const ANSWER_BYTES_MAX = 65_536;

/** Its public half never changes, and is asked for once; each certificate is one call of `Sign`. */
export function kmsAuthority(settings: KmsKeySettings, host: BackendHost): AuthoritySource {
  const { api, client } = clientOf(settings, host);
  let known: Promise<AuthorityKey> | null = null;
  const sign = async (algorithm: BackendKeyAlgorithm, bytes: Uint8Array): Promise<Uint8Array> => {
    const spec = ALGORITHMS[algorithm];
    if (spec === null) throw new Error("a key of KMS is P-256 or RSA");
    if (bytes.length > MESSAGE_BYTES_MAX) throw new Error("too long for KMS to sign");
    const command = { KeyId: settings.key_arn, Message: bytes, SigningAlgorithm: spec };
    const { Signature: signature } = await saying("kms:Sign", () =>
      client.send(new SignCommand({ ...command, MessageType: "RAW" })),
    );
    if (signature !== undefined) return signature;
    throw new Error("KMS answered without a signature");
  };
  const look = async (): Promise<AuthorityKey> => {
    const { PublicKey: spki, KeyUsage: usage } = await saying("kms:GetPublicKey", () =>
      client.send(new GetPublicKeyCommand({ KeyId: settings.key_arn })),
    );
    if (spki === undefined || usage !== "SIGN_VERIFY") throw new Error("it is no key that signs");
    const open = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
    const key = keyOfAuthority(open, sign);
    if (key !== null && ALGORITHMS[key.algorithm] !== null) return key;
    throw new Error("a key of KMS is P-256 or RSA");
  };
  return {
    keys: async () => {
      known ??= look().catch((error: unknown) => {
        known = null;
        throw error;
      });
      return [await known];
    },
    rotate: async () => undefined,
    close: async () => {
      client.destroy();
      await api.close();
    },
  };
}

/** The SDK's words may quote the request: its name of the failure is kept alone. */
async function saying<T>(action: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (thrown) {
    const name = thrown instanceof Error && /^\w{3,60}$/.test(thrown.name) ? thrown.name : "failed";
    throw new Error(`${action} was not answered (${name})`);
  }
}

interface SdkRequest {
  readonly method: string;
  readonly hostname: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** The SDK's requests by the one way out that Mayfly has; nothing is sent twice. */
function clientOf({ key_arn: arn, endpoint, tls, ...keys }: KmsKeySettings, host: BackendHost) {
  const [, partition, , region = ""] = arn.split(":");
  const domain = partition === "aws-cn" ? "amazonaws.com.cn" : "amazonaws.com";
  const origin = endpoint ?? `https://kms.${region}.${domain}`;
  const { hostname } = new URL(origin);
  const api = host.apis.open({
    origin,
    tls: serverTls({ tls }, hostname),
    connections: CALLS_AT_ONCE,
    timeoutMs: CALL_MS_MAX,
    maxBytes: ANSWER_BYTES_MAX,
  });
  const client = new KMSClient({
    region,
    endpoint: origin,
    maxAttempts: 1,
    credentials: {
      accessKeyId: keys.access_key_id,
      secretAccessKey: keys.secret_access_key,
    },
    requestHandler: requestHandler(api, hostname, host),
  });
  return { api, client };
}

const requestHandler = (api: OutboundApi, hostname: string, { clock }: BackendHost) => ({
  metadata: { handlerProtocol: "http/1.1" },
  handle: async (request: SdkRequest) => {
    if (request.hostname !== hostname || request.method !== "POST") {
      throw new Error("the SDK asked in a way that is not expected");
    }
    const { "content-length": _, ...headers } = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value]),
    );
    const body =
      typeof request.body === "string"
        ? request.body
        : new TextDecoder().decode(request.body as Uint8Array);
    const context: CallContext = { clock, signal: new AbortController().signal, traceId: "" };
    const sent = { method: "POST", path: request.path, headers, body } as const;
    const outcome = await api.send(sent, context);
    if (outcome.kind !== "answer") throw new Error(outcome.why);
    const { status, headers: answered, text } = outcome;
    return {
      response: { statusCode: status, headers: answered, body: Buffer.from(text, "utf8") },
    };
  },
  updateHttpClientConfig: () => undefined,
  httpHandlerConfigs: () => ({}),
});
