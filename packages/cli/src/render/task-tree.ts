import type { ChainAnswer, DecisionAnswer, LeaseAnswer, TaskAnswer } from "../api/answers.ts";
import type { Session } from "../session.ts";
import { exposureText } from "./exposure-text.ts";
import { factLines } from "./fact-lines.ts";
import { clockSecondsText, durationText, relativeText } from "./time-text.ts";

/** What happened to a task, in order, with its children below it. */
export function taskTree(chain: ChainAnswer, session: Session): string {
  const { task } = chain;
  const { paint } = session;
  const ref = task.ref === null ? "" : `  (${task.ref})`;
  const head = `${paint.bold(task.id)}  ${task.goal}${ref}  ${lifeText(task, session)}\n`;
  const facts = factLines(
    [
      ["initiator", initiatorText(task)],
      ["workload", task.workload],
      ["parent", task.parent],
      ["reason", task.end_reason],
    ],
    paint,
  );
  const branches = [...branchesOf(chain, task.id, session), [logText(chain)]];
  return `${head}${facts}${drawn(branches)}`;
}

function lifeText(task: TaskAnswer, { io }: Session): string {
  if (task.ended_at === null) {
    const asked = task.end_requested ? ", end requested" : "";
    return `${task.state}${asked}, deadline ${relativeText(task.deadline, io.clock.now())}`;
  }
  const lived = Date.parse(task.ended_at) - Date.parse(task.opened_at);
  return `${task.state} after ${durationText(lived)}`;
}

function initiatorText(task: TaskAnswer): string | null {
  if (task.initiator === null) return null;
  const how = task.impersonates ? ", impersonated" : "";
  return `${task.initiator.name} (${task.initiator.basis}${how})`;
}

type Branch = readonly string[];
interface Entry {
  readonly at: string;
  readonly lines: Branch;
}

/** One branch per decision, lease, lease's end and child; a child's lines below its own. */
function branchesOf(chain: ChainAnswer, taskId: string, session: Session): readonly Branch[] {
  const entries: Entry[] = [];
  for (const decision of chain.decisions.filter((each) => each.task === taskId)) {
    entries.push({ at: decision.decided_at, lines: [decisionLine(decision, session)] });
  }
  for (const lease of chain.leases.filter((each) => each.task === taskId)) {
    entries.push({ at: lease.reserved_at, lines: [leaseLine(lease, session)] });
    if (lease.ended_at !== null) {
      entries.push({ at: lease.ended_at, lines: [endLine(lease, lease.ended_at, session)] });
    }
  }
  for (const child of chain.descendants.filter((each) => each.parent === taskId)) {
    const below = drawn(branchesOf(chain, child.id, session))
      .split("\n")
      .filter((line) => line !== "");
    const line = `${child.id}  ${child.goal}  (child, ${child.workload})  ${lifeText(child, session)}`;
    entries.push({ at: child.opened_at, lines: [line, ...below] });
  }
  return entries.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at)).map(({ lines }) => lines);
}

const clock = (at: string, { io }: Session): string =>
  clockSecondsText(at, io.clock.now(), io.timeZone);

function decisionLine(decision: DecisionAnswer, session: Session): string {
  const { paint } = session;
  const effect = decision.effect === "permit" ? paint.green("permit") : paint.red("deny  ");
  const why = decision.determining_policies.join(", ") || (decision.why ?? "");
  const digest = `policies@${decision.policy_digest.slice(0, 8)}`;
  return `${clock(decision.decided_at, session)}  ${effect}  ${decision.id}  ${why}  ${digest}`;
}

function leaseLine(lease: LeaseAnswer, session: Session): string {
  const settled = lease.activated_at === null ? "reserved" : "active";
  const exposed =
    lease.state === "ended" ? "" : `  ${lease.state}, exposed ${exposureText(lease, session)}`;
  const role = lease.role ?? lease.backend;
  return `${clock(lease.reserved_at, session)}  ${lease.id}  ${settled}  ${role}  ${lease.external_name}${exposed}`;
}

/** The time from the request of its end, where that is known. */
function endLine(lease: LeaseAnswer, endedAt: string, session: Session): string {
  const asked = lease.end_requested_at;
  const took = asked === null ? "" : ` in ${durationText(Date.parse(endedAt) - Date.parse(asked))}`;
  return `${clock(endedAt, session)}  ${lease.id}  ${lease.outcome ?? "ended"}${took}`;
}

function logText(chain: ChainAnswer): string {
  const places = chain.events.map((event) => event.log_index).filter((at) => at !== null);
  const waiting = chain.events.length - places.length;
  const cut = chain.truncated ? "  (cut: more is in the ledger)" : "";
  if (places.length === 0) return `log: ${waiting} events wait for their place${cut}`;
  const show = (at: number): string => at.toLocaleString("en-US");
  const rest = waiting === 0 ? "" : `, ${waiting} wait for their place`;
  return `log ${show(Math.min(...places))} … ${show(Math.max(...places))}${rest}${cut}`;
}

function drawn(branches: readonly Branch[]): string {
  return branches
    .map(([first = "", ...below], at) => {
      const last = at === branches.length - 1;
      const lines = below.map((line) => `${last ? "   " : "│  "}${line}\n`);
      return `${last ? "└─ " : "├─ "}${first}\n${lines.join("")}`;
    })
    .join("");
}
