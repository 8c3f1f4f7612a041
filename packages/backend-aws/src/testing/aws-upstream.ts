import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import type { BackendNames, Issued } from "@mayfly/spec";
import {
  createMemoryNames,
  createRecordingLog,
  createTestBackendHost,
  startTcpFaultProxy,
  type RecordingLog,
  type TcpFaultProxy,
} from "@mayfly/testkit";
import type { ContractUpstream, HeldSession } from "@mayfly/testkit/contract";
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
  { keys }: MotoAccount,
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
  return {
    account,
    log,
    proxy,
    clock: systemClock,
    config: configAt(account, { host: "127.0.0.1", port: proxy.port }),
    role: { ...ROLE, iam_roles: iamRoles },
    params: {},
    host: (installation = "contract") => {
      // As the ledger's: all processes of an installation know the same names.
      const names = options.names ?? namesOf.get(installation) ?? createMemoryNames(systemClock);
      namesOf.set(installation, names);
      return createTestBackendHost({
        clock: systemClock,
        random: systemRandom,
        log,
        apis: createOutboundApis(),
        installation,
        quarantineSeconds: 1,
        names,
      });
    },
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
    stop: async () => {
      await proxy.stop();
      await account.stop();
    },
  };
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
