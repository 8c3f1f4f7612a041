import type { Command } from "commander";
import {
  activatedAnswer,
  decisionAnswer,
  policiesAnswer,
  readAnswer,
  type DecisionAnswer,
} from "../api/answers.ts";
import { planActivation } from "../apply/plan-apply.ts";
import { registeredSources } from "../files/policy-files.ts";
import { cleanText } from "../render/clean-text.ts";
import { factLines, factsOf } from "../render/fact-lines.ts";
import { clockSecondsText } from "../render/time-text.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";
import { policyFileCommands } from "./policy-file-commands.ts";
import { policyHistoryCommands } from "./policy-history-commands.ts";

export const policyCommands: CommandSet = (program, open) => {
  const policy = program.command("policy").description("who may get what, and why");
  policyFileCommands(policy, open);
  policy
    .command("list")
    .description("the policies that decide now")
    .addHelpText("after", examples("mayfly policy list"))
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const answer = await session.api().get("/v1/policies");
      if (session.json) return session.record(answer);
      const { digest, sources, activated_at: at } = readAnswer(policiesAnswer, answer);
      if (digest === null || at === null) {
        return session.note("No policy is active: everything is denied. mayfly policy activate");
      }
      const { io } = session;
      const since = clockSecondsText(at, io.clock.now(), io.timeZone);
      session.note(`policies@${digest.slice(0, 8)}, active since ${since}`);
      session.text(sources.map(({ name }) => `${name}\n`).join(""));
    });
  activateCommand(policy, open);
  policyHistoryCommands(policy, open);
  explainCommand(policy, open);
  explainCommand(program, open);
};

function activateCommand(policy: Command, open: (command: Command) => Session): void {
  policy
    .command("activate")
    .description("let these policies decide, and no others")
    .argument("<path...>", "*.cedar files, or folders that hold them")
    .option("--yes", "do not ask")
    .addHelpText("after", examples("mayfly policy activate mayfly/policies"))
    .action(async (paths: string[], options: { yes?: true }, command: Command) => {
      const session = open(command);
      const sources = registeredSources(paths);
      const api = session.api();
      const active = readAnswer(policiesAnswer, await api.get("/v1/policies"));
      const before = active.sources;
      const names = new Set(sources.map(({ name }) => name));
      const known = new Set(before.map(({ name }) => name));
      const plan = [
        ...sources.map(({ name }) => `${known.has(name) ? "~" : "+"} ${name}`),
        ...before.filter(({ name }) => !names.has(name)).map(({ name }) => `- ${name}`),
      ];
      const { warning, doubts } = await planActivation(api, sources);
      for (const [name, lines] of doubts) {
        for (const line of lines) session.note(cleanText(`${name}: ${line}`));
      }
      if (warning !== null) plan.push(warning);
      await session.confirm(plan, options.yes === true);
      // Whoever activates others meanwhile is not overruled.
      const headers: Record<string, string> =
        active.digest === null ? { "if-none-match": "*" } : { "if-match": `"${active.digest}"` };
      const body = { sources: sources.map(({ name, text }) => ({ name, text })) };
      const answer = await api.send("PUT", "/v1/policies", body, headers);
      if (session.json) return session.record(answer);
      const { result, digest } = readAnswer(activatedAnswer, answer);
      session.note(`${result}  policies@${digest.slice(0, 8)}`);
    });
}

/** `mayfly policy explain` and `mayfly explain` are the same. */
function explainCommand(parent: Command, open: (command: Command) => Session): void {
  const name = parent.parent === null ? "mayfly explain" : "mayfly policy explain";
  parent
    .command("explain")
    .description("why a request was permitted or denied")
    .argument("<decision>", "id of the decision")
    .addHelpText("after", examples(`${name} dec_0199…`))
    .action(async (id: string, _options: object, command: Command) => {
      const session = open(command);
      const answer = await session.api().get(`/v1/decisions/${encodeURIComponent(id)}`);
      if (session.json) session.record(answer);
      else showDecision(session, readAnswer(decisionAnswer, answer));
    });
}

function showDecision(session: Session, decision: DecisionAnswer): void {
  const { io, paint } = session;
  const effect = decision.effect === "permit" ? paint.green("permit") : paint.red("deny");
  session.detail(`${paint.bold(decision.id)}  ${effect}\n${decision.explanation}\n`);
  const policies = decision.determining_policies.join(", ");
  session.detail(
    factLines(
      [
        ["decided", clockSecondsText(decision.decided_at, io.clock.now(), io.timeZone)],
        ["determined by", policies === "" ? "no policy" : policies],
        ["why", decision.why],
        ["policies", decision.policy_digest],
        ["task", decision.task],
      ],
      paint,
    ),
  );
  session.detail(
    `${paint.dim("the request")}\n${factLines(factsOf(decision.request), paint, "  ")}`,
  );
}
