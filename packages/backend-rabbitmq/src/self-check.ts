import type { CallContext, CheckProblem, JsonObject, SelfCheck } from "@mayfly/spec";
import { z } from "zod";
import { wholeCluster, type Lane } from "./lane.ts";
import { leases } from "./role-settings.ts";

const whoami = z.object({ tags: z.union([z.array(z.string()), z.string()]) });
const overview = z.object({ rabbitmq_version: z.string(), cluster_name: z.string() });
const globalParameters = z.array(z.object({ name: z.string(), value: z.unknown() }));

/** Looks only: with the tag `administrator` the API refuses nothing that a lease's life needs. */
export async function selfCheck(
  lane: Lane,
  roles: readonly JsonObject[],
  context: CallContext,
): Promise<SelfCheck> {
  const problems = [...(await checkTags(lane, context))];
  if (problems.length > 0) return checked(lane, { rabbitmq_version: null }, problems, null);
  const get = async (path: string): Promise<unknown> =>
    (await lane.work.call("GET", path, context)).body;
  const { rabbitmq_version: version, cluster_name: cluster } = overview.parse(
    await get("/api/overview?columns=rabbitmq_version,cluster_name"),
  );
  const parameters = globalParameters.parse(await get("/api/global-parameters"));
  const identity = parameters.find(({ name }) => name === "internal_cluster_id")?.value;
  problems.push(...(await missingHosts(lane, roles, context)));
  const facts = {
    rabbitmq_version: version,
    cluster_name: cluster,
    nodes: await wholeCluster(lane),
  };
  return checked(lane, facts, problems, typeof identity === "string" ? identity : null);
}

const checked = (
  { settings }: Lane,
  facts: JsonObject,
  problems: readonly CheckProblem[],
  identity: string | null,
): SelfCheck => ({
  upstreamIdentity: identity ?? `unnamed:${settings.host}:${settings.port}`,
  clockSkewMs: null,
  facts,
  problems,
});

async function checkTags(
  { work, settings }: Lane,
  context: CallContext,
): Promise<readonly CheckProblem[]> {
  const { body, status } = await work.call("GET", "/api/whoami", context, { also: [401] });
  if (status === 401) {
    return [
      {
        code: "login_refused",
        what: `The management API refuses the user "${settings.username}".`,
        fix: "Correct username and password, and give the user a tag that lets it in.",
      },
    ];
  }
  const { tags } = whoami.parse(body);
  if (
    [tags]
      .flat()
      .flatMap((text) => text.split(","))
      .includes("administrator")
  )
    return [];
  return [
    {
      code: "right_missing",
      what: `The user "${settings.username}" may not manage users: it is no administrator.`,
      fix: `rabbitmqctl set_user_tags ${settings.username} administrator`,
    },
  ];
}

async function missingHosts(
  { work }: Lane,
  roles: readonly JsonObject[],
  context: CallContext,
): Promise<readonly CheckProblem[]> {
  const problems: CheckProblem[] = [];
  for (const vhost of new Set(roles.map((role) => leases.roleOf(role).vhost))) {
    const path = `/api/vhosts/${encodeURIComponent(vhost)}?columns=name`;
    const { status } = await work.call("GET", path, context, { also: [404] });
    if (status !== 404) continue;
    problems.push({
      code: "vhost_missing",
      what: `There is no virtual host "${vhost}".`,
      fix: `rabbitmqctl add_vhost ${vhost}, or correct the role.`,
    });
  }
  return problems;
}
