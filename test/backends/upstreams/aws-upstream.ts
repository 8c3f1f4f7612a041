import { readFile } from "node:fs/promises";
import {
  isAllowed,
  placeOfSession,
  policiesOf,
} from "../../../packages/backend-aws/src/testing/evaluate.ts";
import {
  ACCOUNT,
  BUCKET,
  readSessions,
  REGION,
  startMotoAccount,
  type MotoSession,
} from "../../../packages/backend-aws/src/testing/moto-account.ts";
import { CLEAR, textIn, type CredentialData, type Upstream } from "./upstream.ts";

/** Of one IAM role: what its policies have room to deny at once. */
const SESSIONS_PER_IAM_ROLE = 150;

export const awsUpstream: Upstream = {
  type: "aws",
  server: "moto",
  outcome: "revoked",
  refusedBy: "an evaluator of the policies in moto; AWS takes its time until they count",
  register: async ({ put, leasesMax }) => {
    const count = Math.ceil(leasesMax / SESSIONS_PER_IAM_ROLE) + 1;
    const iamRoles = Array.from({ length: count }, (_, nth) => `agents/reader-${nth}`);
    const account = await startMotoAccount(iamRoles);
    const { iam, origin, keys } = account;
    // Asking for rights costs moto its own time, which is none of AWS's.
    await account.checkRights(false);
    const config = {
      account_id: ACCOUNT,
      region: REGION,
      credentials: { kind: "keys", ...keys },
      endpoints: { sts: origin, iam: origin },
      unsafe_propagation_seconds: 1,
      ...CLEAR,
    };
    const statements = [{ actions: ["s3:GetObject"], resources: [`${BUCKET}/*`] }];
    await put("aws", { type: "aws", config }, { iam_roles: iamRoles, statements });
    const known = new Map<string, MotoSession>();
    const sessionOf = async (data: CredentialData): Promise<MotoSession> => {
      const key = textIn(data, "access_key_id");
      if (!known.has(key)) {
        for (const each of await readSessions(origin)) known.set(each.access_key_id, each);
      }
      const session = known.get(key);
      if (session === undefined) throw new Error("moto knows no such session");
      return session;
    };
    return {
      version: await motoVersion(),
      tryCredential: async (data) => {
        const session = await sessionOf(data);
        const policies = await policiesOf(iam, placeOfSession(session));
        return (await isAllowed(session, policies)) ? "accepted" : "refused";
      },
      openSession: null,
      live: async (issued) => {
        const places = new Map<string, Awaited<ReturnType<typeof policiesOf>>>();
        let live = 0;
        for (const data of issued) {
          const session = await sessionOf(data);
          const place = placeOfSession(session);
          const policies = places.get(place) ?? (await policiesOf(iam, place));
          places.set(place, policies);
          if (await isAllowed(session, policies)) live++;
        }
        return live;
      },
      ownLogin: async () => {
        // Before, it asks nobody for a key that is known.
        await account.checkRights(true);
        const tryFirst = async () => ((await account.letsIn(keys)) ? "accepted" : "refused");
        return { backend: "aws", tryFirst };
      },
      stop: () => account.stop(),
    };
  },
};

/** As it is installed. */
async function motoVersion(): Promise<string> {
  const locked = new URL("../../../infra/moto/requirements.txt", import.meta.url);
  const [, version] = /^moto(?:\[[\w,]+\])?==(\S+)/m.exec(await readFile(locked, "utf8")) ?? [];
  return version === undefined ? "moto" : `moto ${version}`;
}
