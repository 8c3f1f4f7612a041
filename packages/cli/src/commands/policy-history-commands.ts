import type { Command } from "commander";
import {
  activatedAnswer,
  activationAnswer,
  listAnswer,
  policiesAnswer,
  policySourcesAnswer,
  rawAnswer,
  readAnswer,
  type ActivationAnswer,
} from "../api/answers.ts";
import type { PolicySource } from "@mayfly/spec";
import { planActivation } from "../apply/plan-apply.ts";
import { usageError } from "../cli-error.ts";
import { cleanText } from "../render/clean-text.ts";
import { table } from "../render/table.ts";
import { clockSecondsText } from "../render/time-text.ts";
import type { Session } from "../session.ts";
import { examples } from "./examples.ts";

type Open = (command: Command) => Session;
const HISTORY_MAX = "1000";

/** What decided, and what decided before. */
export function policyHistoryCommands(policy: Command, open: Open): void {
  policy
    .command("show")
    .description("the text of the policies that decide now, or of earlier ones")
    .argument("[digest]", "of policies that were active, whole or its beginning")
    .addHelpText("after", examples("mayfly policy show", "mayfly policy show 9f2c…"))
    .action(async (digest: string | undefined, _options: object, command: Command) => {
      const session = open(command);
      const path = digest === undefined ? "" : `/${await wholeDigest(session, digest)}`;
      const answer = await session.api().get(`/v1/policies${path}`);
      if (session.json) return session.record(answer);
      const shape = digest === undefined ? policiesAnswer : policySourcesAnswer;
      const { sources } = rawAnswer<{ readonly sources: readonly PolicySource[] }>(shape, answer);
      if (sources.length === 0) return session.note("No policy is active: everything is denied.");
      for (const { name, text } of sources) {
        const lines = text.trimEnd().split("\n").map(cleanText);
        session.text(`// ${cleanText(name)}\n${lines.join("\n")}\n\n`);
      }
    });
  policy
    .command("history")
    .description("which policies decided, since when, and who activated them")
    .addHelpText("after", examples("mayfly policy history"))
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const items = await history(session);
      if (session.json) return items.forEach((item) => session.record(item));
      showHistory(
        session,
        items.map((item) => readAnswer(activationAnswer, item)),
      );
    });
  policy
    .command("rollback")
    .description("let earlier policies decide again")
    .argument("<digest>", "of policies that were active, whole or its beginning")
    .option("--yes", "do not ask")
    .addHelpText("after", examples("mayfly policy rollback 9f2c…"))
    .action(async (given: string, options: { yes?: true }, command: Command) => {
      const session = open(command);
      const api = session.api();
      const digest = await wholeDigest(session, given);
      const before = readAnswer(policiesAnswer, await api.get("/v1/policies")).digest;
      const now = before === null ? "none" : before.slice(0, 8);
      const plan = [`policies@${now} → policies@${digest.slice(0, 8)}`];
      const earlier = rawAnswer(policySourcesAnswer, await api.get(`/v1/policies/${digest}`));
      const { warning } = await planActivation(api, earlier.sources);
      if (warning !== null) plan.push(warning);
      await session.confirm(plan, options.yes === true);
      // Whoever activates others meanwhile is not overruled.
      const headers: Record<string, string> = before === null ? {} : { "if-match": `"${before}"` };
      const answer = await api.send("POST", "/v1/policies/rollback", { digest }, headers);
      if (session.json) return session.record(answer);
      const { result } = readAnswer(activatedAnswer, answer);
      session.note(`${result}  policies@${digest.slice(0, 8)}`);
    });
}

async function history(session: Session): Promise<readonly unknown[]> {
  const answer = await session.api().get("/v1/policies/history", { limit: HISTORY_MAX });
  return rawAnswer(listAnswer, answer).items;
}

/** People type the eight digits that lists show. */
async function wholeDigest(session: Session, given: string): Promise<string> {
  if (/^[0-9a-f]{64}$/.test(given)) return given;
  const known = (await history(session)).map((item) => readAnswer(activationAnswer, item).digest);
  const found = new Set(
    /^[0-9a-f]{6,63}$/.test(given) ? known.filter((one) => one.startsWith(given)) : [],
  );
  const [digest, ...more] = found;
  if (digest !== undefined && more.length === 0) return digest;
  throw usageError(
    more.length > 0
      ? "Several digests begin like that."
      : "No policies with that digest were ever active.",
    "Look with: mayfly policy history",
    given,
  );
}

function showHistory(session: Session, activations: readonly ActivationAnswer[]): void {
  if (activations.length === 0) return session.note("No policy was ever active.");
  if (session.onlyIds(activations.map(({ digest }) => digest))) return;
  const { io, paint } = session;
  const columns = [
    { title: "POLICIES", cell: (one: ActivationAnswer) => one.digest.slice(0, 8) },
    {
      title: "SINCE",
      cell: (one: ActivationAnswer) =>
        clockSecondsText(one.activated_at, io.clock.now(), io.timeZone),
    },
    { title: "BY", cell: (one: ActivationAnswer) => one.actor.name },
    { title: "DECISION", cell: (one: ActivationAnswer) => one.decision ?? "" },
  ];
  session.text(table(columns, activations, paint));
}
