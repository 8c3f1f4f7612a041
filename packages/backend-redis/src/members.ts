import { z } from "zod";
import { BackendError, type BackendHost } from "@mayfly/spec";
import { within, type Deadline } from "./call-deadline.ts";
import { Node } from "./node.ts";
import { failureOf, unfinished } from "./redis-failure.ts";
import { placeName, type Place, type ServerSettings } from "./server-settings.ts";

/** What the operations of one open backend share: settings, host and the servers. */
export interface Lane {
  readonly settings: ServerSettings;
  readonly host: BackendHost;
  /** Aborted by `close`. */
  readonly closing: AbortSignal;
  readonly nodes: Map<string, Node>;
}

export function nodeAt(lane: Lane, place: Place): Node {
  const key = placeName(place);
  const present = lane.nodes.get(key);
  if (present !== undefined) return present;
  const node = new Node(place, lane.settings, lane.host, lane.closing);
  lane.nodes.set(key, node);
  return node;
}

/** A server that did not do what it was asked. */
export interface Missed {
  readonly place: string;
  readonly failure: Error;
  /** The others agree that it is down: flag `fail` of `CLUSTER NODES`. */
  readonly agreedDown: boolean;
}

export interface Everywhere<T> {
  readonly done: readonly { readonly node: Node; readonly result: T }[];
  readonly missed: readonly Missed[];
}

/**
 * Does `work` on each server of the backend, at the same time. A cluster's members are those that
 * any of its reachable members names, so that one that was removed (`CLUSTER FORGET` on each) is
 * no longer waited for, and one that is only down is.
 */
export async function onEveryNode<T>(
  lane: Lane,
  deadline: Deadline,
  work: (node: Node) => Promise<T>,
): Promise<Everywhere<T>> {
  if (lane.settings.topology === "nodes") {
    const nodes = lane.settings.nodes.map((place) => nodeAt(lane, place));
    return collect(await Promise.all(nodes.map((node) => attempt(lane, node, deadline, work))));
  }
  return onCluster(lane, deadline, work);
}

interface Attempt<T> {
  readonly node: Node;
  readonly outcome: { readonly result: T } | { readonly failure: Error };
}

async function attempt<T>(
  lane: Lane,
  node: Node,
  deadline: Deadline,
  work: (node: Node) => Promise<T>,
): Promise<Attempt<T>> {
  try {
    return { node, outcome: { result: await within(work(node), deadline, lane.host.clock) } };
  } catch (thrown) {
    const failure = BackendError.isBackendError(thrown) ? thrown : failureOf(node.place, thrown);
    return { node, outcome: { failure } };
  }
}

function collect<T>(
  attempts: readonly Attempt<T>[],
  down: ReadonlySet<string> = new Set(),
): Everywhere<T> {
  const done: { node: Node; result: T }[] = [];
  const missed: Missed[] = [];
  for (const { node, outcome } of attempts) {
    if ("result" in outcome) done.push({ node, result: outcome.result });
    else {
      const { failure } = outcome;
      missed.push({ place: node.place, failure, agreedDown: down.has(node.place) });
    }
  }
  return { done, missed };
}

/** Each member is asked as soon as another one names it, so that a hung one holds up no other. */
async function onCluster<T>(
  lane: Lane,
  deadline: Deadline,
  work: (node: Node) => Promise<T>,
): Promise<Everywhere<T>> {
  const attempts = new Map<string, Promise<Attempt<T>>>();
  const view = new Map<string, ClusterMember>();
  const visit = (place: Place): void => {
    const node = nodeAt(lane, place);
    if (attempts.has(node.place)) return;
    const viewThenWork = async (): Promise<T> => {
      const lines = await node.work.ask(["CLUSTER", "NODES"], deadline);
      for (const member of readClusterNodes(lines, place)) {
        mergeMember(view, member);
        if (member.place !== null) visit(member.place);
      }
      return work(node);
    };
    attempts.set(node.place, attempt(lane, node, deadline, viewThenWork));
  };
  lane.settings.nodes.forEach(visit);
  let settled: readonly Attempt<T>[] = [];
  while (settled.length < attempts.size) settled = await Promise.all(attempts.values());
  return wholeCluster(settled, [...view.values()]);
}

function mergeMember(view: Map<string, ClusterMember>, member: ClusterMember): void {
  const known = view.get(member.id);
  view.set(member.id, {
    ...member,
    place: member.place ?? known?.place ?? null,
    down: member.down || known?.down === true,
    slots: Math.max(member.slots, known?.slots ?? 0),
  });
}

function wholeCluster<T>(
  attempts: readonly Attempt<T>[],
  members: readonly ClusterMember[],
): Everywhere<T> {
  const [first] = attempts;
  if (members.length === 0 && first !== undefined && "failure" in first.outcome) {
    throw first.outcome.failure;
  }
  const slots = members.reduce((sum, member) => sum + member.slots, 0);
  if (slots < SLOTS) {
    throw unfinished(`the members that answer name ${slots} of ${SLOTS} slots: no whole cluster`);
  }
  const byPlace = new Map<string, ClusterMember>();
  for (const member of members) {
    if (member.place !== null) byPlace.set(placeName(member.place), member);
  }
  const down = new Set([...byPlace].flatMap(([key, member]) => (member.down ? [key] : [])));
  // A seed that no member knows has left the cluster.
  const { done, missed } = collect(
    attempts.filter(({ node }) => byPlace.has(node.place)),
    down,
  );
  const nowhere = members.flatMap((member): readonly Missed[] => {
    if (member.place !== null) return [];
    const failure = failureOf(member.id, new Error("the cluster does not know its address"));
    return [{ place: member.id, failure, agreedDown: member.down }];
  });
  return { done, missed: [...missed, ...nowhere] };
}

const SLOTS = 16_384;

/** A line of `CLUSTER NODES` (https://redis.io/docs/latest/commands/cluster-nodes/). */
interface ClusterMember {
  readonly id: string;
  readonly place: Place | null;
  readonly down: boolean;
  readonly slots: number;
}

const ADDRESS = /^(.*):(\d+)(?:@\d+)?(?:,([^,]*))?/;

/** `asked`: who answered, since one that met no other yet does not know its own address. */
function readClusterNodes(reply: unknown, asked: Place): readonly ClusterMember[] {
  return z
    .string()
    .parse(reply)
    .split("\n")
    .flatMap((line) => {
      const [id, address = "", flags = "", , , , , , ...ranges] = line.split(" ");
      const flag = new Set(flags.split(","));
      // One that is being introduced has no user of ours, and no name yet.
      if (id === undefined || id === "" || flag.has("handshake")) return [];
      const [, ip = "", port = "0", hostname = ""] = ADDRESS.exec(address) ?? [];
      const host = hostname === "" ? ip : hostname;
      const known = host === "" || port === "0" ? null : { host, port: Number(port) };
      const place = known ?? (flag.has("myself") ? asked : null);
      const slots = ranges.reduce((sum, range) => sum + slotsIn(range), 0);
      return [{ id, place: flag.has("noaddr") ? null : place, down: flag.has("fail"), slots }];
    });
}

function slotsIn(range: string): number {
  const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? [];
  return first === undefined ? 0 : Number(last ?? first) - Number(first) + 1;
}

/** @throws the first failure, unless each server did what it was asked. */
export function unlessMissed<T>(
  { done, missed }: Everywhere<T>,
  tolerate: (missed: Missed) => boolean = () => false,
): Everywhere<T>["done"] {
  const [failed] = missed.filter((each) => !tolerate(each));
  if (failed !== undefined) throw failed.failure;
  return done;
}
