import { SharedLook } from "@mayfly/backend-kit";
import type { BackendHost, CallContext } from "@mayfly/spec";
import { z } from "zod";
import { apiUser, type ApiUser } from "./lease-mark.ts";
import { ManagementApi } from "./management-api.ts";
import { unfinished } from "./rabbit-failure.ts";
import type { ServerSettings } from "./server-settings.ts";

/** Connections for mints, so that ending never waits behind issuing, and for all else. */
const MINT_SLOTS = 4;
const WORK_SLOTS = 8;

/** What the operations of one open backend share. */
export interface Lane {
  readonly settings: ServerSettings;
  readonly host: BackendHost;
  readonly mints: ManagementApi;
  readonly work: ManagementApi;
  /** The number of nodes; see {@link wholeCluster}. */
  readonly nodes: SharedLook<number>;
}

export function createLane(
  settings: ServerSettings,
  host: BackendHost,
  closing: AbortSignal,
): Lane {
  const api = (slots: number): ManagementApi => new ManagementApi(settings, host, slots);
  const [mints, work] = [api(MINT_SLOTS), api(WORK_SLOTS)];
  const context = { clock: host.clock, signal: closing, traceId: "" };
  return { settings, host, mints, work, nodes: new SharedLook(() => lookAtNodes(work, context)) };
}

export async function closeLane({ mints, work }: Lane): Promise<void> {
  await Promise.all([mints.close(), work.close()]);
}

export const userPath = (name: string): string => `/api/users/${encodeURIComponent(name)}`;
const connectionsPath = (name: string): string =>
  `/api/connections/username/${encodeURIComponent(name)}`;

export async function userOf(
  api: ManagementApi,
  name: string,
  context: CallContext,
  beforeSend?: () => void,
): Promise<ApiUser | null> {
  const { status, body } = await api.call("GET", userPath(name), context, {
    also: [404],
    ...(beforeSend === undefined ? {} : { beforeSend }),
  });
  return status === 404 ? null : apiUser.parse(body);
}

const nodes = z
  .array(
    z.object({
      name: z.string(),
      running: z.boolean(),
      partitions: z.array(z.unknown()).default([]),
    }),
  )
  .min(1);

/**
 * How many nodes the cluster has. Which connections a user has is asked of each running node; one
 * that is cut off is not asked, and may keep them.
 * @throws BackendError unless every member runs and sees the others
 */
export const wholeCluster = ({ nodes: shared }: Lane): Promise<number> => shared.run();

async function lookAtNodes(work: ManagementApi, context: CallContext): Promise<number> {
  const { body } = await work.call("GET", "/api/nodes?columns=name,running,partitions", context);
  const members = nodes.parse(body);
  const away = members.find(({ running, partitions }) => !running || partitions.length > 0);
  if (away === undefined) return members.length;
  throw unfinished(
    `the node ${away.name} does not run or does not see the others, so what is left on it cannot ` +
      "be told; start it, or take it out by `rabbitmqctl forget_cluster_node`",
  );
}

const connections = z.array(z.unknown());

/** By the nodes' own tracking, not by the statistics, which come seconds later. */
export async function connectionsOf(
  { work }: Lane,
  name: string,
  context: CallContext,
): Promise<number> {
  const { status, body } = await work.call("GET", connectionsPath(name), context, { also: [404] });
  return status === 404 ? 0 : connections.parse(body).length;
}

export async function closeConnections(
  { work }: Lane,
  name: string,
  context: CallContext,
): Promise<void> {
  await work.call("DELETE", connectionsPath(name), context, { also: [404] });
}
