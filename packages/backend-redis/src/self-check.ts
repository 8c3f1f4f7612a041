import { z } from "zod";
import type { CallContext, CheckProblem, JsonObject, SelfCheck } from "@mayfly/spec";
import { aclRules } from "./acl-rules.ts";
import type { Deadline } from "./call-deadline.ts";
import { onEveryNode, type Lane, type Missed } from "./members.ts";
import type { Node } from "./node.ts";
import type { Command } from "./node-link.ts";
import { RedisFailure, unfinished } from "./redis-failure.ts";
import { leases } from "./role-settings.ts";
import { wholeDeadline } from "./revoke.ts";
import { placeName } from "./server-settings.ts";

/** `%R~` and `%W~`, and rules on subcommands, are there from then on. */
const VERSION_MIN = 7;

/** What the broker's user has to be allowed, as `+rule` and as a command to try it with. */
const RIGHTS: readonly (readonly [rule: string, ...command: string[]])[] = [
  ["acl|setuser", "ACL", "SETUSER", "x"],
  ["acl|getuser", "ACL", "GETUSER", "x"],
  ["acl|deluser", "ACL", "DELUSER", "x"],
  ["acl|list", "ACL", "LIST"],
  ["acl|save", "ACL", "SAVE"],
  ["client|list", "CLIENT", "LIST"],
  ["client|kill", "CLIENT", "KILL", "ID", "1"],
  ["client|setname", "CLIENT", "SETNAME", "x"],
];
const CLUSTER_RIGHTS: typeof RIGHTS = [["cluster|nodes", "CLUSTER", "NODES"]];

interface Checked {
  readonly version: string;
  readonly serverRole: string;
  readonly aclFile: boolean | null;
  readonly problems: readonly CheckProblem[];
}

/** Tries each right on each server by a dry run, each role's rules on a user without login. */
export async function selfCheck(
  lane: Lane,
  roles: readonly JsonObject[],
  context: CallContext,
): Promise<SelfCheck> {
  const deadline = wholeDeadline(lane, context);
  const { done, missed } = await onEveryNode(lane, deadline, (node) =>
    checkNode(lane, node, roles, deadline),
  );
  if (done.length === 0) throw missed[0]?.failure ?? unfinished("self-check: no server answers");
  const [first] = lane.settings.nodes;
  return {
    // Redis has no identity that outlives a failover; the first server's address stands for it.
    upstreamIdentity: `${lane.settings.topology}:${first === undefined ? "" : placeName(first)}`,
    clockSkewMs: null,
    facts: {
      nodes: done
        .map(({ node, result: { version, serverRole, aclFile } }) => ({
          endpoint: node.place,
          version,
          role: serverRole,
          acl_file: aclFile,
        }))
        .toSorted((a, b) => a.endpoint.localeCompare(b.endpoint)),
    },
    problems: onceEach([
      ...done.flatMap(({ result }) => result.problems),
      ...missed.map(unreachable),
    ]),
  };
}

const unreachable = ({ place, failure }: Missed): CheckProblem => ({
  code: "node_unreachable",
  what: `${place} did not do what it was asked: ${failure.message}`,
  fix: "Let the broker reach it, or take it out of `nodes`, or of the cluster.",
});

/** Many servers have the same problem, as a rule. */
function onceEach(problems: readonly CheckProblem[]): readonly CheckProblem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];
}

async function checkNode(
  lane: Lane,
  node: Node,
  roles: readonly JsonObject[],
  deadline: Deadline,
): Promise<Checked> {
  const { version, mode, role } = await helloOf(node, deadline);
  const problems: CheckProblem[] = [];
  if (Number(version.split(".")[0]) < VERSION_MIN) {
    problems.push({
      code: "server_too_old",
      what: `${node.place} is version ${version}.`,
      fix: "Redis 7.0 or newer, or Valkey, is needed.",
    });
    return { version, serverRole: role, aclFile: null, problems };
  }
  if ((mode === "cluster") !== (lane.settings.topology === "cluster")) {
    problems.push({
      code: "topology_differs",
      what: `${node.place} says that its mode is ${mode}.`,
      fix: "Set `topology` to cluster for a Redis Cluster, else to nodes.",
    });
  }
  const missing = await missingRights(lane, node, deadline);
  problems.push(...missing, ...(await openDefault(node, missing, deadline)));
  if (missing.length > 0) return { version, serverRole: role, aclFile: null, problems };
  problems.push(...(await severalServers(lane, node, deadline)));
  problems.push(...(await refusedRoles(lane, node, roles, deadline)));
  return { version, serverRole: role, aclFile: await node.saves.run(""), problems };
}

async function helloOf(node: Node, deadline: Deadline) {
  const members = z.array(z.unknown()).parse(await node.work.ask(["HELLO"], deadline));
  const text = (name: string): string => String(members[members.indexOf(name) + 1]);
  return { version: text("version"), mode: text("mode"), role: text("role") };
}

async function missingRights(
  { settings }: Lane,
  node: Node,
  deadline: Deadline,
): Promise<readonly CheckProblem[]> {
  const { username } = settings;
  const wanted = settings.topology === "cluster" ? [...RIGHTS, ...CLUSTER_RIGHTS] : RIGHTS;
  const replies = await node.work.exchange(
    wanted.map(([, ...command]): Command => ["ACL", "DRYRUN", username, ...command]),
    deadline,
  );
  return wanted.flatMap(([rule], place) => {
    const reply = replies[place];
    if (reply === "OK") return [];
    const right = reply instanceof RedisFailure ? "acl|dryrun" : rule;
    return [
      {
        code: "right_missing",
        what: `${node.place} does not let the user "${username}" run ${right}.`,
        fix: `ACL SETUSER ${username} +${right}`,
      },
    ];
  });
}

/** Where anybody may do anything without a password, no end of a lease means anything. */
async function openDefault(
  node: Node,
  missing: readonly CheckProblem[],
  deadline: Deadline,
): Promise<readonly CheckProblem[]> {
  if (missing.length > 0) return [];
  const user = await node.userOf("default", deadline);
  if (user === null || !user.on || !user.rules.includes("nopass")) return [];
  if (user.rules.at(-1) === "-@all") return [];
  return [
    {
      code: "default_user_open",
      what: `On ${node.place} everybody is in without a password, as the user "default".`,
      fix: "ACL SETUSER default off, or give it a password (requirepass)",
    },
  ];
}

/**
 * A name that leads now to one server and now to another would have users made on one and deleted
 * on the other: what one connection makes, the other one has to see.
 */
async function severalServers(
  { host }: Lane,
  node: Node,
  deadline: Deadline,
): Promise<readonly CheckProblem[]> {
  // Of two checks at once neither may delete the other's.
  const own = Buffer.from(host.random.bytes(8)).toString("hex");
  const trial = `mayfly_trial_${host.installation}_${own}`;
  const [made] = await node.mints.exchange([["ACL", "SETUSER", trial, "reset", "off"]], deadline);
  if (made instanceof RedisFailure) throw made;
  const seen = await node.userOf(trial, deadline);
  await Promise.all(
    [node.mints, node.work].map((link) => link.exchange([["ACL", "DELUSER", trial]], deadline)),
  );
  if (seen !== null) return [];
  return [
    {
      code: "several_servers",
      what: `Two connections to ${node.place} lead to two servers.`,
      fix: "Name each server under `nodes` by an address of its own, not by a balancer's.",
    },
  ];
}

/** Tries a role's rules on a user that cannot log in and is deleted at once. */
async function refusedRoles(
  { host }: Lane,
  node: Node,
  roles: readonly JsonObject[],
  deadline: Deadline,
): Promise<readonly CheckProblem[]> {
  const problems: CheckProblem[] = [];
  const trial = `mayfly_trial_${host.installation}_${host.backendId}`;
  for (const role of roles) {
    const rules = aclRules(leases.roleOf(role));
    const [reply] = await node.work.exchange(
      [
        ["ACL", "SETUSER", trial, "reset", "off", ...rules],
        ["ACL", "DELUSER", trial],
      ],
      deadline,
    );
    if (!(reply instanceof RedisFailure)) continue;
    problems.push({
      code: "role_refused",
      what: `${node.place} does not take a role's rules: ${reply.message}`,
      fix: "Correct the role's commands, or the server's modules.",
    });
  }
  return problems;
}
