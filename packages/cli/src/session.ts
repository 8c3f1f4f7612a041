import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { jsonText } from "./render/clean-text.ts";
import { createPaint, type Paint } from "./render/paint.ts";
import { readClientSettings, type ClientSettings } from "@mayfly/settings";
import { Secret } from "@mayfly/spec";
import { createBrokerApi, type BrokerApi } from "./api/broker-api.ts";
import { interruptibleApi } from "./api/interruptible-api.ts";
import { configError, usageError } from "./cli-error.ts";
import { EXIT } from "./exit-codes.ts";
import type { Io } from "./io.ts";

/** Options that every command takes. */
export interface GlobalOptions {
  readonly json?: true;
  readonly quiet?: true;
  readonly url?: string;
  readonly adminTokenFile?: string;
  readonly unsafePlainHttp?: true;
}

/** How the process will end; commands that check something set it. */
export interface Ending {
  /** One of `EXIT`; after `exec` whatever the command ended with. */
  code: number;
}

/** One run of one command: where it prints, and whom it talks to. */
export interface Session {
  readonly io: Io;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly paint: Paint;
  settings(): ClientSettings;
  /** Whether `--admin-token-file` is given. */
  readonly hasTokenFile: boolean;
  api(): BrokerApi;
  /** What was asked for, as text. */
  text(text: string): void;
  /** The same, for a person who reads it: not with `-q`. */
  detail(text: string): void;
  /** Of a list with `-q`: the ids alone. True if that was asked for. */
  onlyIds(ids: readonly string[]): boolean;
  /** What was asked for, as one line of JSON: the document, or one record of a list. */
  record(value: unknown): void;
  /** For a person, beside the result: on standard error, and not with `-q` or `--json`. */
  note(text: string): void;
  /** What was checked is not in order. */
  found(): void;
  /** What was run for the user ended so. */
  endWith(exitCode: number): void;
  /** Asks before something that cannot be undone. Throws unless the answer is yes. */
  confirm(plan: readonly string[], yes: boolean): Promise<void>;
}

export function createSession(io: Io, ending: Ending, command: Command): Session {
  const options = command.optsWithGlobals<GlobalOptions>();
  const json = options.json === true;
  const quiet = options.quiet === true;
  const settings = (): ClientSettings => readClientSettings(io.environment, readText);
  return {
    io,
    json,
    quiet,
    paint: createPaint(io.colours.out && !json),
    settings,
    hasTokenFile: options.adminTokenFile !== undefined,
    api: () => openApi(io, options, settings),
    text: (text) => io.out(text),
    detail: (text) => {
      if (!quiet) io.out(text);
    },
    onlyIds: (ids) => {
      if (quiet) io.out(ids.map((id) => `${id}\n`).join(""));
      return quiet;
    },
    record: (value) => io.out(`${jsonText(value)}\n`),
    note: (text) => {
      if (!quiet && !json) io.err(`${text}\n`);
    },
    found: () => {
      ending.code = EXIT.found;
    },
    endWith: (exitCode) => {
      ending.code = exitCode;
    },
    confirm: (plan, yes) => confirm(io, plan, yes),
  };
}

const readText = (path: string): string => readFileSync(path, "utf8");

function openApi(io: Io, options: GlobalOptions, settings: () => ClientSettings): BrokerApi {
  const interrupted = io.interrupts();
  const api = createBrokerApi({
    interrupted,
    url: brokerUrl(options.url ?? settings().url),
    token: () => tokenOf(options, settings),
    unsafePlainHttp: options.unsafePlainHttp === true,
    fetch: io.fetch,
  });
  return interruptibleApi(api, interrupted);
}

function tokenOf(options: GlobalOptions, settings: () => ClientSettings): Secret | null {
  if (options.adminTokenFile === undefined) return settings().adminToken;
  try {
    return Secret.of(readText(options.adminTokenFile).trim());
  } catch {
    throw configError("The administrator's token cannot be read.", options.adminTokenFile);
  }
}

/** Also a password without a user: what says the URL back would say that too. */
const hasUser = ({ username, password }: URL): boolean => username !== "" || password !== "";

function brokerUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || hasUser(url)) {
    throw usageError(
      "The broker's URL is not usable.",
      "Give it as https://host or http://127.0.0.1:8420, without a user.",
      "--url",
    );
  }
  return url;
}

async function confirm(io: Io, plan: readonly string[], yes: boolean): Promise<void> {
  for (const line of plan) io.err(`${line}\n`);
  if (yes) return;
  if (!io.interactive) {
    throw usageError(
      "This needs a confirmation, and there is no terminal to ask on.",
      "Read what it would do, above, and run it again with --yes.",
    );
  }
  const answer = (await io.ask("Go on? [y/N] ")).trim().toLowerCase();
  if (answer !== "y" && answer !== "yes") {
    throw usageError("Not confirmed.", "Nothing was done. Answer y, or give --yes.");
  }
}
