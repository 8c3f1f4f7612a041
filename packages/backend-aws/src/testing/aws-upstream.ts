import { DeleteRolePolicyCommand, ListRolePoliciesCommand } from "@aws-sdk/client-iam";
import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import {
  instantMs,
  type BackendNames,
  type Clock,
  type Issued,
  type PoolingHost,
} from "@mayfly/spec";
import {
  createMemoryNames,
  createRecordingLog,
  createTestBackendHost,
  startTcpFaultProxy,
  type RecordingLog,
  type TcpFaultProxy,
} from "@mayfly/testkit";
import type { ContractRotation, ContractUpstream, HeldSession } from "@mayfly/testkit/contract";
import { isAllowed, placeOfSession, policiesOf, type Policies } from "./evaluate.ts";
import {
  ACCOUNT,
  BUCKET,
  IAM_ROLES,
  REGION,
  startMotoAccount,
  type MotoAccount,
  type MotoSession,
} from "./moto-account.ts";

export interface AwsUpstream extends ContractUpstream {
  readonly account: MotoAccount;
  readonly log: RecordingLog;
  readonly proxy: TcpFaultProxy;
}

export const ROLE = {
  iam_roles: IAM_ROLES,
  statements: [{ actions: ["s3:Get*", "s3:ListBucket"], resources: [BUCKET, `${BUCKET}/*`] }],
};

export const configAt = (
  { keys }: Pick<MotoAccount, "keys">,
  at: { readonly host: string; readonly port: number },
  more: object = {},
): Readonly<Record<string, unknown>> => {
  const origin = `http://${at.host}:${at.port}`;
  return {
    account_id: ACCOUNT,
    region: REGION,
    credentials: { kind: "keys", ...keys },
    endpoints: { sts: origin, iam: origin },
    tls: "unsafe_disable",
    unsafe_propagation_seconds: 0,
    deny_characters: 10_240,
    ...more,
  };
};

/** AWS as the contract suite drives it; the broker comes by way of a proxy. */
export async function startAwsUpstream(
  options: { readonly iamRoles?: readonly string[]; readonly names?: BackendNames } = {},
): Promise<AwsUpstream> {
  const { iamRoles = IAM_ROLES } = options;
  const account = await startMotoAccount(iamRoles);
  const { host, port } = account.moto;
  const proxy = await startTcpFaultProxy({ host, port });
  const log = createRecordingLog();
  const namesOf = new Map<string, BackendNames>();
  const tryCredential = async ({ access_key_id: id }: Issued["material"]) => {
    const session = (await account.sessions()).find((each) => each.access_key_id === id);
    if (session === undefined) return "refused";
    const policies = await policiesOf(account.iam, placeOfSession(session));
    return (await isAllowed(session, policies)) ? "accepted" : "refused";
  };
  const hostOf = (installation: string, clock: Clock = systemClock): PoolingHost => {
    // As the ledger's: all processes of an installation know the same names.
    const names = options.names ?? namesOf.get(installation) ?? createMemoryNames(systemClock);
    namesOf.set(installation, names);
    return createTestBackendHost({
      clock,
      random: systemRandom,
      log,
      apis: createOutboundApis(),
      installation,
      quarantineSeconds: 1,
      names,
    });
  };
  const here = { host: "127.0.0.1", port: proxy.port };
  return {
    account,
    log,
    proxy,
    clock: systemClock,
    config: configAt(account, here),
    role: { ...ROLE, iam_roles: iamRoles },
    params: {},
    host: (installation = "contract") => hostOf(installation),
    pass: (ms) => systemClock.sleep(ms),
    tryCredential,
    openSession: async (material): Promise<HeldSession> => ({
      // Each request of a session is judged anew: there is nothing that is open.
      alive: async () => (await tryCredential(material)) === "accepted",
      close: async () => undefined,
    }),
    liveNames: createLiveNames(account),
    block: async () => {
      proxy.hold((piece) => piece.includes("Action=AssumeRole"));
      return { release: async () => proxy.release() };
    },
    route: { host, port, configAt: (at) => configAt(account, at) },
    forgeMark: async () => {
      throw new Error("sessions bear no mark that others could forge: none is listed");
    },
    weaken: async () => {
      await account.permit(["iam:DeleteRolePolicy"]);
      return { restore: () => account.permit() };
    },
    upkeep: {
      lose: () => deleteDenies(account, iamRoles),
      forbid: async () => {
        await account.permit(["iam:PutRolePolicy"]);
        return { restore: () => account.permit() };
      },
    },
    rotation: rotationOf(account, here, (clock) => hostOf("contract", clock)),
    stop: async () => {
      await proxy.stop();
      await account.stop();
    },
  };
}

/** Each login is a user of its own; what AWS knows of keys is looked at again without a wait. */
function rotationOf(
  account: MotoAccount,
  at: { readonly host: string; readonly port: number },
  hostOf: (clock: Clock) => PoolingHost,
): ContractRotation {
  let laterMs = 0;
  const host = hostOf({
    ...systemClock,
    now: () => instantMs(systemClock.now() + laterMs),
    sleep: (ms, signal) => systemClock.sleep(ms === 1_000 ? 20 : ms, signal),
  });
  const later = (ms: number): void => {
    laterMs += ms;
  };
  return {
    madeBy: "upstream",
    host,
    login: async () => {
      laterMs = 0;
      const user = await account.addBroker();
      return {
        config: configAt(user, at),
        giveBack: async () => undefined,
        lost: { kind: "destroyed", later },
        forbid: async () => {
          await user.permit(["iam:CreateAccessKey"]);
          return { restore: () => user.permit() };
        },
      };
    },
  };
}

/** As an administrator who takes them for leftovers. */
async function deleteDenies({ iam }: MotoAccount, iamRoles: readonly string[]): Promise<void> {
  for (const RoleName of iamRoles.map((path) => path.replace(/^.*\//, ""))) {
    const { PolicyNames: names = [] } = await iam.send(new ListRolePoliciesCommand({ RoleName }));
    for (const PolicyName of names.filter((name) => name.startsWith("mayfly-deny."))) {
      await iam.send(new DeleteRolePolicyCommand({ RoleName, PolicyName }));
    }
  }
}

const isLease = ({ session_name: name }: MotoSession): boolean => name.startsWith("mf_");

/**
 * Who is live now, of all that moto remembers. A judgement is kept for as long as the policies that
 * name the session, and those that are no deny of ours, are the same: a session is asked about
 * dozens of times.
 */
function createLiveNames(account: MotoAccount): () => Promise<readonly string[]> {
  const judged = new Map<string, { readonly by: string; readonly isLive: boolean }>();
  const isLive = async (session: MotoSession, policies: Policies): Promise<boolean> => {
    const by = JSON.stringify(
      policies.filter(
        ({ name, policy }) =>
          !name.startsWith("mayfly-deny.") || JSON.stringify(policy).includes(session.session_name),
      ),
    );
    const known = judged.get(session.access_key_id);
    if (known?.by === by) return known.isLive;
    const answer = await isAllowed(session, policies);
    judged.set(session.access_key_id, { by, isLive: answer });
    return answer;
  };
  return async () => {
    const sessions = (await account.sessions()).filter(isLease);
    const policies = new Map<string, Policies>();
    for (const place of new Set(sessions.map(placeOfSession))) {
      policies.set(place, await policiesOf(account.iam, place));
    }
    const live: string[] = [];
    for (const session of sessions) {
      if (await isLive(session, policies.get(placeOfSession(session)) ?? [])) {
        live.push(session.session_name);
      }
    }
    return live.toSorted();
  };
}
