import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import type { Draw } from "../simulation/draw.ts";
import {
  BACKEND,
  grantedOf,
  grantedOfPool,
  POOLED,
  READER,
  type Credential,
  type Granted,
  type Reply,
} from "../harness/index.ts";
import type { Family } from "./blows.ts";
import { ask, type Stage } from "./stage.ts";

/** Lives for so short that it can be renewed before its task's deadline. */
export const BRIEF = `${BACKEND}/brief`;
export const BRIEF_ROLE = {
  description: "The group role app_reader of the orders database, for a moment",
  member_of: "app_reader",
  owner: "app_owner",
  ttl_max: "6s",
  data_class: "confidential",
  reversibility: "read_only",
  environment: "test",
};
/** Of agents that hold a session with what they were given while their task ends. */
const LOGINS = 0.15;
const LOOK_MS_MAX = 10_000;

/** Of tasks that are not renewed, those of the pool; more while a broker waits for one. */
const POOLED_SHARE = { usually: 0.25, wanted: 0.6 };

/** One agent after the other's heart: opens, draws, renews, delegates, ends or forgets. */
export async function live(stage: Stage, draw: Draw, index: number): Promise<void> {
  for (let round = 0; !stage.isOver; round++) {
    const role = drawRole(stage, draw);
    const granted = await open(stage, draw, `agent-${index}`, round, role);
    if (granted === null) {
      await sleep(draw.between(20, 200));
      continue;
    }
    const session = draw.chance(LOGINS) ? await logIn(granted.credential) : null;
    await workOn(stage, draw, granted, role);
    await session?.end({ timeout: 1 });
  }
}

function drawRole({ brokers }: Stage, draw: Draw): string {
  if (draw.chance(0.4)) return BRIEF;
  const isWanted = [...brokers.values()].includes("pool");
  return draw.chance(isWanted ? POOLED_SHARE.wanted : POOLED_SHARE.usually) ? POOLED : READER;
}

/** Repeats with its key when the reply is lost, as a client does. */
async function open(
  stage: Stage,
  draw: Draw,
  agent: string,
  round: number,
  role: string,
): Promise<Granted | null> {
  const ref = `${agent}-${round}`;
  const details = {
    type: "mayfly-task",
    goal: "live through it",
    ref,
    deadline: `${draw.whole(role === BRIEF ? 15 : 3, 20)}s`,
    idle_timeout: `${draw.whole(3, 10)}s`,
    credentials: Array.from({ length: draw.whole(1, 2) }, () => ({ role })),
  };
  const family = role === POOLED ? "pool" : "exchange";
  for (let attempt = 0; attempt < 3 && !stage.isOver; attempt++) {
    const reply = await ask(stage, draw, family, (api) =>
      api.exchange({ subject: stage.mayfly.svid(agent), details, idempotencyKey: ref }),
    );
    if (reply?.status !== 200) continue;
    return role === POOLED ? grantedOfPool(stage.mayfly, reply) : grantedOf(reply);
  }
  return null;
}

async function workOn(stage: Stage, draw: Draw, granted: Granted, role: string): Promise<void> {
  const { taskId, taskToken, lease } = granted;
  const post = (family: Family, path: string, body: unknown = {}): Promise<Reply | null> =>
    ask(stage, draw, family, (api) => api.call(taskToken, "POST", path, body));
  const draws = (more: Record<string, unknown>) =>
    ask(stage, draw, role === POOLED ? "pool" : "exchange", (api) =>
      api.exchange({
        subject: taskToken,
        isTaskToken: true,
        details: { type: "mayfly-task", credentials: [{ role }], ...more },
      }),
    );
  if (role === BRIEF) {
    for (let times = draw.whole(1, 3); times > 0; times--) {
      // Later than it was by a whole second at least.
      await sleep(draw.between(1_050, 1_500));
      await post("renew", `/v1/leases/${lease}/renew`);
    }
  }
  const what = draw.of(["child", "draw", "beat", "nothing"]);
  if (what === "beat") await post("none", `/v1/tasks/${taskId}/heartbeat`);
  if (what === "draw") await draws({ task: taskId });
  if (what === "child") await draws({ parent: taskId, goal: "help", deadline: "5s" });
  const end = draw.of(["complete", "fail", "cancel", "lease", "forget"]);
  if (end === "lease") await post("end", `/v1/leases/${lease}/end`);
  else if (end !== "forget") {
    const waits = draw.chance(0.5);
    await post(waits ? "wait" : "end", `/v1/tasks/${taskId}/${end}`, waits ? { wait: "2s" } : {});
  }
}

/** Null: not let in, or its server is away. */
async function logIn(credential: Credential): Promise<postgres.Sql | null> {
  const session = postgres({
    ...credential,
    max: 1,
    connect_timeout: 3,
    onnotice: () => undefined,
    connection: { statement_timeout: LOOK_MS_MAX },
  });
  try {
    await session`SELECT 1`;
    return session;
  } catch {
    await session.end({ timeout: 1 });
    return null;
  }
}

/** A security team that ends all of one workload, again and again. */
export async function operate(stage: Stage, draw: Draw): Promise<void> {
  while (!stage.isOver) {
    const wanted = [...stage.brokers.values()].includes("selector");
    await sleep(wanted ? draw.between(100, 300) : draw.between(2_000, 5_000));
    const workload = await liveWorkload(stage);
    if (workload === null) continue;
    const target = draw.of(["/v1/tasks/kill", "/v1/leases/end"]);
    const more = draw.chance(0.3) ? { wait: "2s" } : {};
    await ask(stage, draw, "selector", (api) =>
      api.admin("POST", target, { selector: { workload }, reason: "seen elsewhere", ...more }),
    );
  }
}

async function liveWorkload({ mayfly }: Stage): Promise<string | null> {
  const rows = await mayfly.ledger<{ name: string }[]>`
    SELECT workload_name AS name FROM mayfly.tasks WHERE state = 'active'
    ORDER BY random() LIMIT 1`.catch(() => []);
  return rows[0]?.name ?? null;
}
