import type { Command } from "commander";
import { z } from "zod";
import { readAnswer, taskAnswer } from "../api/answers.ts";
import { holderAnswer, type HolderAnswer } from "../api/security-answers.ts";
import { usageError } from "../cli-error.ts";
import { exposureText, stateText } from "../render/exposure-text.ts";
import { factLines } from "../render/fact-lines.ts";
import { initiatorText, policyText } from "../render/holder-table.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";

const traceAnswer = z.object({
  leases: z.array(z.object({ via: z.string(), holder: holderAnswer })),
  tasks: z.array(taskAnswer),
  tried: z.object({
    secrets: z.number(),
    lease_names: z.number(),
    task_names: z.number(),
    truncated: z.boolean(),
  }),
  todo: z.array(z.string()),
});

const CHARACTERS_MAX = 65_536;

/** Standard input only: an argument is in the shell's history and in every list of processes. */
export const traceCommand: CommandSet = (program, open) => {
  program
    .command("trace")
    .description("where a leaked string came from: reads it from standard input")
    // The library would say again what was given.
    .allowExcessArguments()
    .addHelpText(
      "after",
      examples("mayfly trace < leaked.txt", "pbpaste | mayfly trace", "mayfly trace"),
    )
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      if (command.args.length > 0) {
        throw usageError(
          "What leaked is never an argument: there, the shell's history and every list of processes have it.",
          "Take it out of the history, and give it on standard input: mayfly trace < FILE",
        );
      }
      const text = await session.io.readSecret("What leaked (not shown): ");
      if (text.trim() === "") {
        throw usageError("There is nothing to trace.", "Give the string on standard input.");
      }
      if (text.length > CHARACTERS_MAX) {
        throw usageError(
          `It is longer than ${CHARACTERS_MAX} characters.`,
          "Give the lines around the string.",
        );
      }
      const answer = await session.api().send("POST", "/v1/trace", { text });
      const found = readAnswer(traceAnswer, answer);
      if (found.leases.length === 0 && found.tasks.length === 0) session.found();
      if (session.json) session.record(answer);
      else showTrace(session, found);
    });
};

function showTrace(session: Session, found: z.output<typeof traceAnswer>): void {
  const { leases, tasks, tried, todo } = found;
  if (leases.length === 0 && tasks.length === 0) {
    const cut = tried.truncated ? "; there was more in it than is tried" : "";
    session.note(
      `Nothing of this ledger. Tried ${tried.secrets} pieces by fingerprint, ` +
        `${tried.lease_names} names of leases and ${tried.task_names} of tasks${cut}.`,
    );
    return;
  }
  if (
    session.onlyIds([...leases.map(({ holder }) => holder.lease.id), ...tasks.map(({ id }) => id)])
  ) {
    return;
  }
  for (const { via, holder } of leases) showHolder(session, via, holder);
  for (const task of tasks) {
    session.text(`${session.paint.bold(task.id)}  ${task.state}, ${task.goal}\n`);
    session.text(
      factLines(
        [
          ["workload", task.workload],
          ["initiator", initiatorText(task.initiator)],
        ],
        session.paint,
      ),
    );
  }
  if (todo.length > 0) {
    session.text(`${session.paint.dim("next")}\n${todo.map((line) => `  ${line}\n`).join("")}`);
  }
}

function showHolder(session: Session, via: string, holder: HolderAnswer): void {
  const { lease, task, initiator, policy } = holder;
  const found = via === "fingerprint" ? "its credential" : "its name";
  session.text(`${session.paint.bold(lease.id)}  ${stateText(lease)}, by ${found}\n`);
  session.text(
    factLines(
      [
        ["exposed", exposureText(lease, session)],
        ["role", lease.role],
        ["backend", lease.backend],
        ["workload", lease.workload],
        ["initiator", initiatorText(initiator)],
        ["task", task === null ? null : `${task.id}  ${task.state}, ${task.goal}`],
        ["policy", policyText(policy)],
        ["decision", lease.decision],
      ],
      session.paint,
    ),
  );
}
