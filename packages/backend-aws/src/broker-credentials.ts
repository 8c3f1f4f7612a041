import { open } from "node:fs/promises";
import {
  AssumeRoleCommand,
  AssumeRoleWithWebIdentityCommand,
  type Credentials,
  type STSClient,
} from "@aws-sdk/client-sts";
import type { BackendHost, CallContext } from "@mayfly/spec";
import type { AccountSettings } from "./account-settings.ts";
import { AwsFailure } from "./aws-failure.ts";
import { callAws } from "./transport.ts";

/** As the SDK takes them. */
export interface BrokerKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}
export type BrokerCredentials = () => Promise<BrokerKeys>;

export type LoginSettings = Pick<AccountSettings, "chain" | "credentials">;

/** AWS allows a role that another role takes one hour. */
const OWN_SESSION_SECONDS = 3_600;
/** So long before their end they are fetched anew. */
const FRESH_MS = 300_000;
const TOKEN_BYTES_MAX = 16_384;

/**
 * Whom the broker logs in as: undefined leaves it to the SDK's own chain. Each link of the chain is
 * taken with what the one before it gave.
 */
export function brokerCredentials(
  settings: LoginSettings,
  host: BackendHost,
  /** An STS client with these credentials. */
  sts: (credentials: BrokerCredentials | undefined) => STSClient,
): BrokerCredentials | undefined {
  const name = `mayfly-${host.installation}`;
  let current = firstOf(settings, host, name, sts);
  for (const { role_arn: arn, external_id: externalId } of settings.chain) {
    const client = sts(current);
    current = kept(host, async () => {
      const command = new AssumeRoleCommand({
        RoleArn: arn,
        RoleSessionName: name,
        DurationSeconds: OWN_SESSION_SECONDS,
        ...(externalId === undefined ? {} : { ExternalId: externalId }),
      });
      const { Credentials: given } = await callAws(ownCall(host), (options) =>
        client.send(command, options),
      );
      return keysOf(given);
    });
  }
  return current;
}

function firstOf(
  { credentials }: LoginSettings,
  host: BackendHost,
  name: string,
  sts: (credentials: BrokerCredentials | undefined) => STSClient,
): BrokerCredentials | undefined {
  switch (credentials.kind) {
    case "default":
      return undefined;
    case "keys": {
      const { access_key_id: accessKeyId, secret_access_key: secretAccessKey } = credentials;
      return async () => ({ accessKeyId, secretAccessKey });
    }
    case "web_identity": {
      // The call bears no signature, so the keys of this client are never looked at.
      const client = sts(async () => ({ accessKeyId: "none", secretAccessKey: "none" }));
      return kept(host, async () => {
        const command = new AssumeRoleWithWebIdentityCommand({
          RoleArn: credentials.role_arn,
          RoleSessionName: name,
          DurationSeconds: OWN_SESSION_SECONDS,
          WebIdentityToken: await readToken(credentials.token_file),
        });
        const { Credentials: given } = await callAws(ownCall(host), (options) =>
          client.send(command, options),
        );
        return keysOf(given);
      });
    }
  }
}

/** Nobody's in particular: others wait for the same keys. Its bound is the transport's. */
const ownCall = ({ clock }: BackendHost): CallContext => ({
  clock,
  signal: new AbortController().signal,
  traceId: "",
});

/** One fetch at a time, and none while what was fetched is fresh. */
function kept({ clock }: BackendHost, fetch: BrokerCredentials): BrokerCredentials {
  let known: BrokerKeys | null = null;
  let fetching: Promise<BrokerKeys> | null = null;
  return () => {
    const endMs = known?.expiration?.getTime() ?? 0;
    if (known !== null && endMs - clock.now() > FRESH_MS) return Promise.resolve(known);
    fetching ??= fetch()
      .then((keys) => (known = keys))
      .finally(() => {
        fetching = null;
      });
    return fetching;
  };
}

function keysOf(given: Credentials | undefined): BrokerKeys {
  const {
    AccessKeyId: id,
    SecretAccessKey: key,
    SessionToken: token,
    Expiration: end,
  } = given ?? {};
  if (id === undefined || key === undefined || token === undefined || end === undefined) {
    throw new AwsFailure("lost", "the answer has no credentials");
  }
  return { accessKeyId: id, secretAccessKey: key, sessionToken: token, expiration: end };
}

/** Kubernetes and others write it anew before it expires. */
async function readToken(path: string): Promise<string> {
  const bytes = Buffer.alloc(TOKEN_BYTES_MAX + 1);
  let length: number;
  try {
    await using file = await open(path, "r");
    length = (await file.read(bytes)).bytesRead;
  } catch {
    throw new AwsFailure("not_sent", `credentials.token_file: ${path} could not be read`);
  }
  const token = bytes.toString("utf8", 0, length).trim();
  if (length <= TOKEN_BYTES_MAX && token !== "") return token;
  throw new AwsFailure("not_sent", `credentials.token_file: ${path} holds no token`);
}
