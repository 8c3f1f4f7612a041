import type { CallBatcher } from "@mayfly/backend-kit";
import type { BackendHost, CallContext } from "@mayfly/spec";
import { z } from "zod";
import type { BrokerSession } from "./broker-session.ts";
import type { MintTurns } from "./mint-turns.ts";
import { readSuffix, roleNameOf, writeSuffix, type Mark } from "./lease-mark.ts";
import type { ServerSettings } from "./server-settings.ts";
import type { ApiAnswer, ApiCall, ApiMethod, VaultApi } from "./vault-api.ts";

/** What the operations of one open backend share. */
export interface Lane {
  readonly settings: ServerSettings;
  readonly host: BackendHost;
  readonly mints: VaultApi;
  readonly turns: MintTurns;
  readonly work: VaultApi;
  readonly session: BrokerSession;
  /** By external name; many that are counted at once are one listing. */
  readonly tokens: CallBatcher<string, TokenCount>;
}

/** How many tokens of a lease there are, or answers that wait for being unwrapped. */
export type TokenCount =
  | { readonly kind: "counted"; readonly tokens: number }
  | { readonly kind: "failed"; readonly why: Error };

/** Before anything is counted at it. */
export type Place = Omit<Lane, "tokens">;

/** With the broker's own token. */
export const ask = (
  { session }: Place,
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
  lane: Place,
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

export async function tokensOf(
  { tokens }: Lane,
  externalName: string,
  { signal }: CallContext,
): Promise<number> {
  const count = await tokens.run(externalName, signal);
  if (count.kind === "failed") throw count.why;
  return count.tokens;
}
