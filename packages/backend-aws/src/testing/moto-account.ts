import { setTimeout as pause } from "node:timers/promises";
import {
  AttachRolePolicyCommand,
  CreateAccessKeyCommand,
  CreatePolicyCommand,
  CreateRoleCommand,
  CreateUserCommand,
  IAMClient,
  ListAccessKeysCommand,
  PutUserPolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from "@aws-sdk/client-iam";
import { startMoto, type EmbeddedMoto } from "@mayfly/embedded";
import { z } from "zod";

export const ACCOUNT = "123456789012";
export const REGION = "eu-central-1";
export const IAM_ROLES = ["agents/reader-1", "agents/reader-2"] as const;
const BROKER = "mayfly";
export const BUCKET = "arn:aws:s3:::orders";

/** What docs/backends/aws.md has the broker's user be given. */
export const brokerPolicy = (without: readonly string[] = []): object => ({
  Version: "2012-10-17",
  Statement: [
    {
      Effect: "Allow",
      Action: ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"].filter(
        (action) => !without.includes(action),
      ),
      Resource: `arn:aws:iam::${ACCOUNT}:role/agents/*`,
    },
    {
      Effect: "Allow",
      Action: [
        "iam:GetRole",
        "iam:ListRolePolicies",
        "iam:GetRolePolicy",
        "iam:PutRolePolicy",
        "iam:DeleteRolePolicy",
      ].filter((action) => !without.includes(action)),
      Resource: `arn:aws:iam::${ACCOUNT}:role/agents/*`,
    },
    {
      Effect: "Allow",
      Action: [
        "iam:ListAccessKeys",
        "iam:GetAccessKeyLastUsed",
        "iam:CreateAccessKey",
        "iam:UpdateAccessKey",
        "iam:DeleteAccessKey",
      ].filter((action) => !without.includes(action)),
      // The page says the user itself; moto knows resources of roles alone.
      Resource: "*",
    },
  ],
});

/** A session that moto gave, as moto itself remembers it. */
const assumed = z.object({
  access_key_id: z.string(),
  session_name: z.string(),
  role_arn: z.string(),
  user_id: z.string(),
  arn: z.string(),
  policy: z.string().nullable(),
});
export type MotoSession = z.infer<typeof assumed>;
const data = z.object({ sts: z.object({ AssumedRole: z.array(assumed) }).optional() });

const LOOKS_MAX = 20;
const LOOK_AGAIN_MS = 50;

/**
 * All that moto ever gave. One that it is making it shows without all that it will have, and with
 * a page that says 500 where its lists change while it writes them down.
 */
export async function readSessions(origin: string): Promise<readonly MotoSession[]> {
  for (let look = 1; ; look++) {
    const answer = await fetch(`${origin}/moto-api/data.json`);
    const text = await answer.text();
    const read = answer.ok ? data.safeParse(JSON.parse(text)) : null;
    if (read?.success === true) return read.data.sts?.AssumedRole ?? [];
    if (look === LOOKS_MAX) throw read?.error ?? new Error(`moto: ${answer.status} ${text}`);
    await pause(LOOK_AGAIN_MS);
  }
}

/** A customer's account of AWS, played by moto, which asks for rights as IAM would. */
export interface MotoAccount {
  readonly moto: EmbeddedMoto;
  readonly origin: string;
  /** As an administrator. */
  readonly iam: IAMClient;
  /** Of the user that the broker is. */
  readonly keys: { readonly access_key_id: string; readonly secret_access_key: string };
  sessions(): Promise<readonly MotoSession[]>;
  /** Whether moto asks for rights: of a role that is not there it refuses all, as AWS does not. */
  checkRights(isOn: boolean): Promise<void>;
  /** Whether a user's key is accepted, where moto asks for rights. */
  letsIn(keys: MotoAccount["keys"]): Promise<boolean>;
  /** Beside those that it began with: an IAM role belongs to one backend. */
  addRoles(names: readonly string[]): Promise<void>;
  /** Gives the broker's user the page's policy, without some actions. */
  permit(without?: readonly string[]): Promise<void>;
  /** Another user that the broker may be, with the roles that it began with. */
  addBroker(): Promise<Pick<MotoAccount, "keys" | "permit">>;
  stop(): Promise<void>;
}

export const iamAt = (
  origin: string,
  keys: { readonly accessKeyId: string; readonly secretAccessKey: string },
): IAMClient => new IAMClient({ region: "us-east-1", endpoint: origin, credentials: keys });

export async function startMotoAccount(
  iamRoles: readonly string[] = IAM_ROLES,
): Promise<MotoAccount> {
  const moto = await startMoto();
  if (moto.missing !== undefined) throw new TypeError("moto is missing");
  const origin = `http://${moto.host}:${moto.port}`;
  // Before it asks for rights, whoever comes is an administrator.
  const first = iamAt(origin, { accessKeyId: "first", secretAccessKey: "first" });
  const admin = await makeUser(first, "admin", {
    Version: "2012-10-17",
    Statement: { Effect: "Allow", Action: "*", Resource: "*" },
  });
  const broker = await makeBroker(first, BROKER);
  const orders = await makeOrdersPolicy(first);
  await makeRoles(first, orders, iamRoles);
  first.destroy();
  const checkRights = async (isOn: boolean): Promise<void> => {
    const body = isOn ? "0" : "inf";
    await fetch(`${origin}/moto-api/reset-auth`, { method: "POST", body });
  };
  await checkRights(true);
  const iam = iamAt(origin, admin);
  let brokers = 1;
  return {
    moto,
    origin,
    iam,
    keys: broker.keys,
    sessions: () => readSessions(origin),
    checkRights,
    letsIn: (key) => letsIn(origin, key),
    addRoles: (more) => makeRoles(iam, orders, more),
    permit: (without) => permit(iam, BROKER, without),
    addBroker: async () => {
      const name = `mayfly-${++brokers}`;
      const { keys } = await makeBroker(iam, name);
      for (const RoleName of iamRoles.map((path) => path.replace(/^.*\//, ""))) {
        const PolicyDocument = JSON.stringify(trustOf([BROKER, name]));
        await iam.send(new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument }));
      }
      return { keys, permit: (without) => permit(iam, name, without) };
    },
    stop: async () => {
      iam.destroy();
      await moto.stop();
    },
  };
}

async function letsIn(origin: string, key: MotoAccount["keys"]): Promise<boolean> {
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey } = key;
  const iam = iamAt(origin, { accessKeyId, secretAccessKey });
  try {
    await iam.send(new ListAccessKeysCommand({}));
    return true;
  } catch (error) {
    if (error instanceof Error && error.name === "InvalidClientTokenId") return false;
    throw error;
  } finally {
    iam.destroy();
  }
}

async function permit(
  iam: IAMClient,
  user: string,
  without: readonly string[] = [],
): Promise<void> {
  const PolicyDocument = JSON.stringify(brokerPolicy(without));
  await iam.send(new PutUserPolicyCommand({ UserName: user, PolicyName: "own", PolicyDocument }));
}

async function makeBroker(iam: IAMClient, name: string): Promise<Pick<MotoAccount, "keys">> {
  const { accessKeyId, secretAccessKey } = await makeUser(iam, name, brokerPolicy());
  return { keys: { access_key_id: accessKeyId, secret_access_key: secretAccessKey } };
}

async function makeUser(
  iam: IAMClient,
  name: string,
  policy: object,
): Promise<{ readonly accessKeyId: string; readonly secretAccessKey: string }> {
  await iam.send(new CreateUserCommand({ UserName: name }));
  const document = JSON.stringify(policy);
  await iam.send(
    new PutUserPolicyCommand({ UserName: name, PolicyName: "own", PolicyDocument: document }),
  );
  const { AccessKey: key } = await iam.send(new CreateAccessKeyCommand({ UserName: name }));
  return { accessKeyId: key?.AccessKeyId ?? "", secretAccessKey: key?.SecretAccessKey ?? "" };
}

/** A managed one that lets whoever has it do anything with the orders: its ARN. */
async function makeOrdersPolicy(iam: IAMClient): Promise<string> {
  const { Policy: policy } = await iam.send(
    new CreatePolicyCommand({
      PolicyName: "orders",
      PolicyDocument: JSON.stringify({
        Version: "2012-10-17",
        Statement: { Effect: "Allow", Action: "s3:*", Resource: [BUCKET, `${BUCKET}/*`] },
      }),
    }),
  );
  if (policy?.Arn === undefined) throw new TypeError("moto made no policy");
  return policy.Arn;
}

const trustOf = (users: readonly string[]): object => ({
  Version: "2012-10-17",
  Statement: {
    Effect: "Allow",
    Principal: {
      AWS: [
        ...users.map((user) => `arn:aws:iam::${ACCOUNT}:user/${user}`),
        `arn:aws:sts::${ACCOUNT}:assumed-role/mayfly/mayfly-contract`,
      ],
    },
    Action: ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
  },
});

async function makeRoles(iam: IAMClient, managed: string, names: readonly string[]): Promise<void> {
  for (const iamRole of names) {
    const [path, name] = [iamRole.replace(/[^/]*$/, ""), iamRole.replace(/^.*\//, "")];
    await iam.send(
      new CreateRoleCommand({
        RoleName: name,
        Path: `/${path}`,
        AssumeRolePolicyDocument: JSON.stringify(trustOf([BROKER])),
      }),
    );
    await iam.send(new AttachRolePolicyCommand({ RoleName: name, PolicyArn: managed }));
  }
}
