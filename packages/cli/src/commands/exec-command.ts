import type { Command } from "commander";
import type { openTask } from "@mayfly/client";
import { usageError } from "../cli-error.ts";
import { asTyped } from "../exec/as-typed.ts";
import { openFactFile } from "../exec/fact-file.ts";
import { defaultGoal, runExec } from "../exec/run-exec.ts";
import { tellWarnings } from "../exec/tell-warnings.ts";
import { wantedRoles } from "../exec/wanted-role.ts";
import type { GlobalOptions } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";

type OpenOptions = Parameters<typeof openTask>[0];

interface ExecOptions extends GlobalOptions {
  readonly role: readonly string[];
  readonly goal?: string;
  readonly deadline: string;
  readonly idleTimeout: string;
  readonly ref?: string;
  readonly target?: readonly string[];
  readonly identity?: string;
  readonly issuer?: string;
  readonly jsonTo?: string;
  readonly terminateWhenLost?: true;
}

const collect = (one: string, all: readonly string[] | undefined): readonly string[] => [
  ...(all ?? []),
  one,
];

const ABOUT = `
The credential is in the command's environment: for PostgreSQL PGHOST, PGPORT, PGDATABASE, PGUSER,
PGPASSWORD, PGSSLMODE and DATABASE_URL; of any other kind CREDENTIAL_ and each of its members in
capitals, such as CREDENTIAL_PASSWORD. Of several roles each has a prefix, its name in capitals:
ORDERS_DB_READER_DATABASE_URL. --role ROLE=PREFIX sets another; --role ROLE= sets none.
No MAYFLY_ variable and no proof of our own identity is handed on.

When the command ends, however it ends, the task ends and its credentials with it. If this process
is killed, its heartbeats stop and the task ends by its idle timeout. Credentials that expire before
the command ends are renewed as far as role and policy allow.

Ends as the command did: with its exit code, or 128 and the number of the signal that ended it; 127
if it was not found, 126 if it could not be run. Signals are passed on to it.
`;

export const execCommand: CommandSet = (program, open) => {
  program
    .command("exec")
    .description("run a command with credentials that die with it")
    .argument("<command...>", "after --, the command and its arguments")
    .requiredOption("--role <role[=prefix]>", "what it may do; may be repeated", collect)
    .option("--goal <text>", "what it is for; kept in the ledger")
    .option("--deadline <duration>", "when it has to be over", "30m")
    .option("--idle-timeout <duration>", "how long after our death the credential lives", "15s")
    .option("--ref <text>", "your own reference: a ticket, a run")
    .option("--target <target>", "what it touches; may be repeated", collect)
    .option(
      "--identity <source>",
      "where the proof of identity comes from (MAYFLY_IDENTITY_SOURCE)",
    )
    .option("--issuer <url>", "the broker's issuer, where --url is another name of it")
    .option("--json-to <fd|file>", "write what happened there, a line of JSON for each fact")
    .option("--terminate-when-lost", "end the command when its task ends before it")
    .addHelpText("after", ABOUT)
    .addHelpText(
      "after",
      examples(
        "mayfly exec --role orders-db/reader -- psql",
        'mayfly exec --role orders-db/reader --goal "October report" -- ./report.sh --month 10',
        "mayfly exec --role a-db/reader --role b-db/writer=TO -- sh -c 'pg_dump " +
          '"$A_DB_READER_DATABASE_URL" | psql "$TO_DATABASE_URL"\'',
      ),
    )
    .action(async (words: readonly string[], options: ExecOptions, command: Command) => {
      const session = open(command);
      const all = command.optsWithGlobals<ExecOptions>();
      const roles = wantedRoles(options.role);
      if (session.json && options.jsonTo === undefined) {
        throw usageError(
          "Standard output is the command's own.",
          "Say where the facts go: --json-to 3 (a file descriptor) or --json-to facts.jsonl",
          "--json",
        );
      }
      const [name = "", ...args] = words;
      const { url } = session.settings();
      const { stdin, stdout, stderr } = process;
      const warn = (text: string): void => session.io.err(`${text}\n`);
      const untell = tellWarnings(warn);
      try {
        session.endWith(
          await runExec(
            {
              command: name,
              args,
              roles,
              task: taskOptions(all, all.url ?? url, name),
              terminateWhenLost: options.terminateWhenLost === true,
            },
            {
              environment: session.io.environment,
              clock: session.io.clock,
              facts: openFactFile(options.jsonTo ?? null),
              hasTerminal: stdin.isTTY || stdout.isTTY || stderr.isTTY,
              warn,
            },
          ),
        );
      } catch (error) {
        throw asTyped(error, roles);
      } finally {
        untell();
      }
    });
};

/**
 * What was typed, as the SDK takes it. Casts: durations and the source are checked where they are
 * understood, by the broker and by the SDK, whose errors name the option.
 */
function taskOptions(options: ExecOptions, url: string, command: string): OpenOptions {
  const { identity, issuer, ref, target, unsafePlainHttp } = options;
  return {
    url,
    goal: options.goal ?? defaultGoal(command),
    deadline: options.deadline as OpenOptions["deadline"],
    idleTimeout: options.idleTimeout as OpenOptions["deadline"],
    ...(issuer === undefined ? {} : { issuer }),
    ...(ref === undefined ? {} : { ref }),
    ...(target === undefined ? {} : { targets: target }),
    ...(identity === undefined
      ? {}
      : { identity: identity as NonNullable<OpenOptions["identity"]> }),
    ...(unsafePlainHttp === true ? { unsafePlainHttp } : {}),
  };
}
