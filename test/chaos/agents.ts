import { setTimeout as sleep } from "node:timers/promises";
import type { Draw } from "../simulation/draw.ts";
import {
  ConnectionLost,
  createBrokerApi,
  grantedOf,
  READER,
  type BrokerApi,
  type Granted,
  type Installation,
  type Reply,
} from "../harness/index.ts";

export interface Phase {
  /** Of the brokers that run now. */
  readonly urls: Set<string>;
  isOver: boolean;
}

/** One agent after the other's heart: opens, draws, renews, delegates, ends or forgets. */
export async function live(
  mayfly: Installation,
  draw: Draw,
  index: number,
  phase: Phase,
): Promise<void> {
  for (let round = 0; !phase.isOver; round++) {
    const granted = await open(mayfly, draw, `chaos-${index}-${round}`, phase);
    if (granted !== null) await workOn(mayfly, draw, granted, phase);
    else await sleep(draw.between(20, 200));
  }
}

/** Repeats with its key when the reply is lost, as a client does. */
async function open(
  mayfly: Installation,
  draw: Draw,
  ref: string,
  phase: Phase,
): Promise<Granted | null> {
  const details = {
    type: "mayfly-task",
    goal: "live through it",
    ref,
    deadline: `${draw.whole(3, 20)}s`,
    idle_timeout: `${draw.whole(3, 10)}s`,
    credentials: Array.from({ length: draw.whole(1, 2) }, () => ({ role: READER })),
  };
  for (let attempt = 0; attempt < 3; attempt++) {
    const reply = await ask(mayfly, draw, phase, (api) =>
      api.exchange({ subject: mayfly.svid("worker-bee"), details, idempotencyKey: ref }),
    );
    if (reply?.status === 200) return grantedOf(reply);
  }
  return null;
}

async function workOn(
  mayfly: Installation,
  draw: Draw,
  granted: Granted,
  phase: Phase,
): Promise<void> {
  const { taskId, taskToken, lease } = granted;
  const post = (path: string, body: unknown = {}) =>
    ask(mayfly, draw, phase, (api) => api.call(taskToken, "POST", path, body));
  const what = draw.of(["renew", "child", "draw", "beat", "nothing"]);
  if (what === "renew") await post(`/v1/leases/${lease}/renew`);
  if (what === "beat") await post(`/v1/tasks/${taskId}/heartbeat`);
  if (what === "draw" || what === "child") {
    const credentials = [{ role: READER }];
    const details =
      what === "draw"
        ? { type: "mayfly-task", task: taskId, credentials }
        : { type: "mayfly-task", parent: taskId, goal: "help", deadline: "5s", credentials };
    await ask(mayfly, draw, phase, (api) =>
      api.exchange({ subject: taskToken, isTaskToken: true, details }),
    );
  }
  const end = draw.of(["complete", "fail", "cancel", "lease", "forget"]);
  if (end === "lease") await post(`/v1/leases/${lease}/end`);
  else if (end !== "forget") {
    await post(`/v1/tasks/${taskId}/${end}`, draw.chance(0.5) ? { wait: "2s" } : {});
  }
}

/** Some broker that runs; null when no answer came. */
async function ask(
  mayfly: Installation,
  draw: Draw,
  phase: Phase,
  request: (api: BrokerApi) => Promise<Reply>,
): Promise<Reply | null> {
  const [first, ...rest] = phase.urls;
  if (first === undefined) {
    await sleep(50);
    return null;
  }
  const api = createBrokerApi(draw.of([first, ...rest]), mayfly.adminToken);
  try {
    return await request(api);
  } catch (error) {
    if (error instanceof ConnectionLost) return null;
    throw error;
  }
}
