import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { CreateKeyCommand, KMSClient, type KeySpec } from "@aws-sdk/client-kms";
import { startMoto } from "@mayfly/embedded";
import { Secret } from "@mayfly/spec";
import { readKeyFile, type ReadKeyFile } from "../file-authority.ts";
import { generatedKey } from "../generated-key.ts";

/** A source of an authority's keys, as tests set it up. */
export interface AuthoritySubject {
  readonly authorityKey: object;
  readonly readFile: ReadKeyFile;
  /** What no error may hold. */
  readonly secret: string;
  /** Takes the key away; null: nobody can. */
  readonly lose: (() => Promise<void>) | null;
  stop(): Promise<void>;
}

export const ofMayfly = async (): Promise<AuthoritySubject> => ({
  authorityKey: { source: "mayfly" },
  readFile: readKeyFile,
  secret: "no secret of a configuration",
  lose: null,
  stop: async () => undefined,
});

const pem = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString();

const PRIVATE_KEYS = {
  "Ed25519 of OpenSSH": () => generatedKey().private,
  "Ed25519 in PEM": () => pem(generateKeyPairSync("ed25519").privateKey),
  "P-256 in PEM": () => pem(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey),
  "RSA in PEM": () => pem(generateKeyPairSync("rsa", { modulusLength: 2_048 }).privateKey),
} as const;

export const ofFile = (kind: keyof typeof PRIVATE_KEYS) => async (): Promise<AuthoritySubject> => {
  const text = PRIVATE_KEYS[kind]();
  const file = "/var/run/secrets/mayfly-backends/ssh-ca";
  let held: string | null = text;
  return {
    authorityKey: { source: "file", file },
    readFile: async (path) => {
      if (held !== null && path === file) return Secret.of(held);
      throw new Error("ENOENT: no such file");
    },
    secret: text.split("\n")[1] ?? text,
    lose: async () => {
      held = null;
    },
    stop: async () => undefined,
  };
};

const REGION = "eu-central-1";

/** A key of KMS, played by moto. */
export const ofKms = (spec: KeySpec) => async (): Promise<AuthoritySubject> => {
  const moto = await startMoto();
  if (moto.missing !== undefined) throw new TypeError("moto is missing");
  const endpoint = `http://${moto.host}:${moto.port}`;
  const secret = "canary-of-a-secret-access-key";
  const credentials = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: secret };
  const client = new KMSClient({ region: REGION, endpoint, credentials });
  const made = await client.send(new CreateKeyCommand({ KeySpec: spec, KeyUsage: "SIGN_VERIFY" }));
  const { Arn: arn = "" } = made.KeyMetadata ?? {};
  return {
    authorityKey: {
      source: "aws_kms",
      key_arn: arn,
      access_key_id: credentials.accessKeyId,
      secret_access_key: secret,
      endpoint,
      tls: "unsafe_disable",
    },
    readFile: readKeyFile,
    secret,
    // moto signs with a key that is disabled: what can be lost is the way to it.
    lose: () => moto.stop(),
    stop: async () => {
      client.destroy();
      await moto.stop();
    },
  };
};
