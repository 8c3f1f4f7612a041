import type { ExchangeReply } from "@mayfly/core";
import {
  BrokerError,
  type LeaseId,
  type PresentedIdentity,
  type Task,
  type TaskId,
} from "@mayfly/spec";
import { loginOf, proofOf } from "@mayfly/testkit";
import type { Draw } from "./draw.ts";
import { UNSTORABLE } from "./group-commits.ts";
import type { Service, SimulatedInstallation } from "./installation.ts";

/** A credential that reached an agent, with what the ledger said at that instant. */
export interface Delivered {
  readonly lease: LeaseId;
  readonly task: TaskId;
  readonly backend: string;
  readonly username: string;
  readonly password: string;
  /** The Idempotency-Key that brought it. */
  readonly key: string;
  readonly activatedBefore: boolean;
}

/** What agents saw of the system, from outside. */
export interface AgentsLog {
  readonly delivered: Delivered[];
  /** Tasks whose end an agent was told to be done. */
  readonly ended: TaskId[];
  /** What was opened under what, as asked for. */
  readonly children: { readonly child: TaskId; readonly parent: TaskId }[];
  /** Refusals whose reason was not true. */
  readonly misled: string[];
}

interface Surroundings {
  readonly installation: SimulatedInstallation;
  readonly brokers: () => readonly Service[];
  readonly seen: AgentsLog;
  readonly scale: { readonly tasksMax: number; readonly stepsMax: number };
}

const PATIENCE_MS = 12_000;
const TRIES_MAX = 4;

/** The client saw no answer: the broker died, or took too long. */
class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

/** One workload, which works on its tasks as agents do: eagerly, carelessly, in parallel. */
export async function runAgent(name: string, draw: Draw, around: Surroundings): Promise<void> {
  const { clock } = around.installation;
  // Some come all at once, so that requests meet in the same instant.
  const paceMs = draw.of([0, 300, 4_000]);
  await clock.sleep(draw.between(0, paceMs));
  const tasks = draw.whole(1, around.scale.tasksMax);
  for (let count = 0; count < tasks; count++) {
    await workOnTask(`${name}/${count}`, draw, around, null, 0);
    await clock.sleep(draw.between(0, paceMs));
  }
}

type Parent = Pick<ExchangeReply, "taskToken"> & { readonly id: TaskId };

async function workOnTask(
  name: string,
  draw: Draw,
  around: Surroundings,
  parent: Parent | null,
  depth: number,
): Promise<void> {
  const { clock } = around.installation;
  const opened = await open(name, draw, around, parent);
  if (opened === null) return;
  if (parent !== null) around.seen.children.push({ child: opened.task.id, parent: parent.id });
  const children: Promise<void>[] = [];
  const steps = draw.whole(0, around.scale.stepsMax);
  for (let step = 0; step < steps; step++) {
    await clock.sleep(draw.between(0, 5_000));
    const wantsChild = depth < 2 && draw.chance(0.25);
    if (wantsChild) {
      const its: Parent = { id: opened.task.id, taskToken: opened.taskToken };
      children.push(workOnTask(`${name}/child${step}`, draw.fork(name), around, its, depth + 1));
    } else await act(`${name}#${step}`, draw, around, opened);
  }
  // Some wait for their children, some end above them.
  if (draw.chance(0.5)) await Promise.all(children);
  await end(draw, around, opened.task.id);
  // Who does not know that it has ended goes on, and is refused.
  if (draw.chance(0.3)) await drawAgain(`${name}#late`, draw, around, opened);
  await Promise.all(children);
}

/** Times the rate of the ledger's other faults. */
const UNSTORABLE_OFTEN = 5;

const subjectOf = (name: string): string => `spiffe://acme.test/agent/${name.split("/")[0]}`;

async function open(
  name: string,
  draw: Draw,
  around: Surroundings,
  parent: Parent | null,
): Promise<ExchangeReply | null> {
  const { installation } = around;
  // No ledger can store it: it alone is to be refused, whoever shares its commit.
  const unstorable = draw.chance(installation.rates.ledger * UNSTORABLE_OFTEN);
  const wanted = draw.whole(parent === null ? 1 : 0, 3);
  const details = {
    type: "mayfly-task",
    goal: unstorable ? `${name} ${UNSTORABLE}` : name,
    deadline: `${draw.whole(5, 60)}s`,
    idle_timeout: `${draw.whole(4, 25)}s`,
    credentials: Array.from({ length: wanted }, () => ({ role: roleFrom(draw, installation) })),
    ...(parent === null ? {} : { parent: parent.id }),
  };
  const subject = (presented: PresentedIdentity) =>
    parent === null
      ? ({ kind: "identity", presented } as const)
      : ({ kind: "task_token", token: parent.taskToken } as const);
  return exchange(name, draw, around, details, subject, null);
}

const roleFrom = (draw: Draw, { backends }: SimulatedInstallation): string =>
  `${draw.of(backends)}/${draw.of(["wide", "narrow"])}`;

/** Repeats a request whose reply was lost, with its key, at whichever broker is there. */
async function exchange(
  key: string,
  draw: Draw,
  around: Surroundings,
  details: Readonly<Record<string, unknown>>,
  subjectOfCall: (
    presented: PresentedIdentity,
  ) => Parameters<Service["core"]["exchange"]>[0]["subject"],
  actor: PresentedIdentity | null,
): Promise<ExchangeReply | null> {
  const { clock, ledger } = around.installation;
  const name = key.split("#")[0] ?? key;
  const hasKey = draw.chance(0.8);
  for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
    try {
      const reply = await ask(draw, around, (broker) =>
        broker.core.exchange(
          {
            subject: subjectOfCall(proofOf(clock, subjectOf(name))),
            actor,
            details,
            idempotency: hasKey ? { key, bodySha256: JSON.stringify(details) } : null,
          },
          broker.context(),
        ),
      );
      deliver(around, reply, hasKey ? key : `${key}@${attempt}`, ledger);
      return reply;
    } catch (error) {
      if (!(error instanceof NoAnswer) && !isWorthRepeating(error)) {
        checkReason(around, error, details);
        return null;
      }
      await clock.sleep(draw.between(100, 3_000));
    }
  }
  return null;
}

const isWorthRepeating = (error: unknown): boolean => {
  if (!BrokerError.is(error)) throw error;
  return ["ledger_unavailable", "backend_unavailable", "busy", "issuing_paused"].includes(
    error.code,
  );
};

/** A task that lives and is to live is not refused as an ended one. */
function checkReason(
  { installation, seen }: Surroundings,
  error: unknown,
  details: Readonly<Record<string, unknown>>,
): void {
  if (!BrokerError.is(error)) return;
  const isUnstorable = String(details["goal"]).includes(UNSTORABLE);
  if (error.code === "internal" || (error.code === "invalid_input" && !isUnstorable)) {
    seen.misled.push(`${String(details["goal"] ?? details["task"])} failed for another's fault`);
  }
  if (error.code !== "task_ended") return;
  const { clock, ledger } = installation;
  const isMeant = ({ id, descriptor }: Task): boolean =>
    id === details["task"] || id === details["parent"] || descriptor.goal === details["goal"];
  const meant = ledger.inspect.tasks().filter(isMeant);
  // A repeated request may mean the task that its first try opened, and that has ended since.
  const lives = ({ state, endRequested, deadlineAt }: Task): boolean =>
    state === "active" && !endRequested && deadlineAt > clock.now() + SKEW_MS;
  if (meant.every(lives)) {
    seen.misled.push(`${String(details["goal"] ?? details["task"])} was refused as ended`);
  }
}
const SKEW_MS = 1_000;

function deliver(
  around: Surroundings,
  reply: ExchangeReply,
  key: string,
  ledger: SimulatedInstallation["ledger"],
): void {
  for (const credential of reply.credentials) {
    const { username, password } = loginOf(credential);
    around.seen.delivered.push({
      lease: credential.lease,
      task: reply.task.id,
      backend: credential.role.split("/")[0] ?? "",
      username,
      password: password.expose("reply"),
      key,
      activatedBefore: (ledger.inspect.lease(credential.lease)?.activatedAt ?? null) !== null,
    });
  }
}

async function drawAgain(
  key: string,
  draw: Draw,
  around: Surroundings,
  { task, taskToken: token }: ExchangeReply,
): Promise<void> {
  const [declared] = task.descriptor.credentials;
  if (declared === undefined) return;
  const credentials = [{ role: declared.role }];
  const details = { type: "mayfly-task", task: task.id, credentials };
  await exchange(key, draw, around, details, () => ({ kind: "task_token", token }), null);
}

async function act(
  key: string,
  draw: Draw,
  around: Surroundings,
  opened: ExchangeReply,
): Promise<void> {
  const { clock } = around.installation;
  const task = opened.task.id;
  const token = opened.taskToken;
  const held = around.seen.delivered.filter((one) => one.task === task);
  const one = held[draw.whole(0, Math.max(0, held.length - 1))];
  const what = draw.of([
    "draw",
    "beat",
    "beat",
    "prove",
    "renew",
    "renew",
    "renew",
    "end_lease",
    "wait",
  ]);
  if (what === "draw") {
    await drawAgain(key, draw, around, opened);
  } else if (what === "beat") {
    await quietly(ask(draw, around, ({ core, context }) => core.heartbeat({ token }, context())));
  } else if (what === "prove") {
    const presented = proofOf(clock, opened.task.workload.subject);
    await quietly(
      ask(draw, around, ({ core, context }) =>
        core.heartbeat({ taskId: task, presented }, context()),
      ),
    );
  } else if (what === "renew" && one !== undefined) {
    await quietly(
      ask(draw, around, async ({ core, context }) => {
        const held = await core.authenticateTask(token, context());
        const request = { leaseId: one.lease, ttlSeconds: null, task: held.task };
        return core.renewLease(request, context());
      }),
    );
  } else if (what === "end_lease" && one !== undefined) {
    const by = { kind: "workload", name: opened.task.workload.subject } as const;
    const request = { leaseId: one.lease, by, reason: "no longer needed" };
    await quietly(ask(draw, around, ({ core, context }) => core.endLease(request, context())));
  }
}

const ENDINGS = ["completed", "completed", "failed", "cancelled", "killed"] as const;

async function end(draw: Draw, around: Surroundings, taskId: TaskId): Promise<void> {
  const state = draw.of([...ENDINGS, "forgotten"] as const);
  if (state === "forgotten") return;
  const by = { kind: "administrator", name: "simulation" } as const;
  const waitSeconds = draw.of([0, 5]);
  const request = { taskId, by, state, reason: "simulated", waitSeconds } as const;
  // Two at once, now and then: the second changes nothing.
  const times = draw.chance(0.15) ? 2 : 1;
  await Promise.all(
    Array.from({ length: times }, async () => {
      const done = await quietly(
        ask(draw, around, ({ core, context }) => core.endTask(request, context())),
      );
      if (done) around.seen.ended.push(taskId);
    }),
  );
}

/** True when it succeeded. Refusals are the system's right; anything else is a defect of it. */
async function quietly(request: Promise<unknown>): Promise<boolean> {
  try {
    await request;
    return true;
  } catch (error) {
    if (error instanceof NoAnswer || BrokerError.is(error)) return false;
    throw error;
  }
}

/** Asks some broker that runs, and waits no longer than a client does. */
async function ask<T>(
  draw: Draw,
  { installation, brokers }: Surroundings,
  request: (broker: Service) => Promise<T>,
): Promise<T> {
  const [first, ...rest] = brokers();
  if (first === undefined) throw new NoAnswer("no broker runs");
  const broker = draw.of([first, ...rest]);
  const stop = new AbortController();
  const patience = installation.clock.sleep(PATIENCE_MS, stop.signal).then(
    () => Promise.reject(new NoAnswer("no answer in time")),
    () => new Promise<never>(() => undefined),
  );
  const died = new Promise<never>((_resolve, reject) => {
    broker.process.onDeath(() => reject(new NoAnswer("connection lost")));
  });
  try {
    return await Promise.race([request(broker), patience, died]);
  } finally {
    stop.abort();
  }
}
