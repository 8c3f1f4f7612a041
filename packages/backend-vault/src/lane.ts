import type { BackendHost, CallContext } from "@mayfly/spec";
import { z } from "zod";
import { BrokerSession, type ReadTokenFile } from "./broker-session.ts";
import { MintTurns } from "./mint-turns.ts";
import { readSuffix, roleNameOf, writeSuffix, type Mark } from "./lease-mark.ts";
import type { ServerSettings } from "./server-settings.ts";
import { VaultApi, type ApiAnswer, type ApiCall, type ApiMethod } from "./vault-api.ts";

/** Connections for mints, so that ending never waits behind issuing, and for all else. */
const MINT_SLOTS = 4;
const WORK_SLOTS = 8;

/** What the operations of one open backend share. */
export interface Lane {
  readonly settings: ServerSettings;
  readonly host: BackendHost;
  readonly mints: VaultApi;
  readonly turns: MintTurns;
  readonly work: VaultApi;
  readonly session: BrokerSession;
}

export function createLane(
  settings: ServerSettings,
  host: BackendHost,
  closing: AbortSignal,
  readFile: ReadTokenFile,
): Lane {
  const [mints, work] = [MINT_SLOTS, WORK_SLOTS].map(
    (slots) => new VaultApi(settings, host, slots),
  );
  if (mints === undefined || work === undefined) throw new TypeError("two lanes");
  const session = new BrokerSession(work, settings.login, host, closing, readFile);
  return { settings, host, mints, turns: new MintTurns(MINT_SLOTS), work, session };
}

export async function closeLane({ mints, work }: Lane): Promise<void> {
  await Promise.all([mints.close(), work.close()]);
}

/** With the broker's own token. */
export const ask = (
  { session }: Lane,
  api: VaultApi,
  method: ApiMethod,
  path: string,
  context: CallContext,
  call: ApiCall = {},
): Promise<ApiAnswer> => session.use((token) => api.call(method, path, token, context, call));

export const rolePath = (externalName: string, host: BackendHost): string =>
  `auth/token/roles/${roleNameOf(externalName, host)}`;
export const createPath = (externalName: string, host: BackendHost): string =>
  `auth/token/create/${roleNameOf(externalName, host)}`;

const tokenRole = z.object({ data: z.object({ path_suffix: z.string() }) });

/** Null where there is no token role of this name; `strange` where it bears no mark of ours. */
export async function markOf(
  lane: Lane,
  api: VaultApi,
  externalName: string,
  context: CallContext,
  beforeSend?: () => void,
): Promise<Mark | "strange" | null> {
  const { status, body } = await ask(lane, api, "GET", rolePath(externalName, lane.host), context, {
    also: [404],
    ...(beforeSend === undefined ? {} : { beforeSend }),
  });
  if (status === 404) return null;
  return readSuffix(tokenRole.parse(body).data.path_suffix) ?? "strange";
}

/** A token role by which nobody makes a token. */
export async function placeTombstone(
  lane: Lane,
  externalName: string,
  context: CallContext,
): Promise<void> {
  const mark: Mark = { kind: "tombstone", at: lane.host.clock.now() };
  await ask(lane, lane.work, "POST", rolePath(externalName, lane.host), context, {
    body: { disallowed_policies_glob: "*", path_suffix: writeSuffix(mark) },
  });
}

const keys = z.object({ data: z.object({ keys: z.array(z.string()) }) });

/** Names directly below a path; none where there is nothing. */
export async function listAt(
  lane: Lane,
  path: string,
  context: CallContext,
): Promise<readonly string[]> {
  const { status, body } = await ask(lane, lane.work, "GET", `${path}?list=true`, context, {
    also: [404],
  });
  return status === 404 ? [] : keys.parse(body).data.keys;
}

/** Where the server lists the leases whose ids begin so. */
export const LEASES = "sys/leases/lookup";

/** How many tokens of a lease there are, or answers that wait for being unwrapped. */
export const tokensOf = async (
  lane: Lane,
  externalName: string,
  context: CallContext,
): Promise<number> =>
  (await listAt(lane, `${LEASES}/${createPath(externalName, lane.host)}/`, context)).length;
