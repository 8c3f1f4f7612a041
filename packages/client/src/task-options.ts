import type { ConnectionOptions } from "./connection.ts";
import type { Identity } from "./identity/present-identity.ts";
import { invalidOption, type MayflyError } from "./mayfly-error.ts";
import type { Secret } from "./secret.ts";

/** Whole seconds, or text such as `"90s"`, `"15m"`, `"2h"`, `"1d"`. */
export type Duration = number | `${number}${"s" | "m" | "h" | "d"}`;

export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [name: string]: Json };

export interface CredentialRequest {
  /** `<backend>/<shape>`, as the platform team named it. */
  readonly role: string;
  /** What the role lets a request narrow; per backend type. */
  readonly params?: { readonly [name: string]: Json };
  /** Shorter than the role's own. */
  readonly ttl?: Duration;
  /** `later`: declared now, drawn by `task.draw`. Default: `now`. */
  readonly issue?: "now" | "later";
}

/** What a task is, for opening one and for opening a child. */
export interface TaskDescription {
  /** What the task is for, in a sentence; evidence, never authority. */
  readonly goal: string;
  /** When it ends at the latest. */
  readonly deadline: Duration;
  /** All roles that it will ever need, by name or with more said. */
  readonly credentials?: readonly (string | CredentialRequest)[];
  /** How long it outlives a process that was killed: without heartbeats. Default: 60 s. */
  readonly idleTimeout?: Duration;
  /** Your own reference: a ticket, a run. */
  readonly ref?: string;
  /** Which things it will touch: `<backend>:<what>`. */
  readonly targets?: readonly string[];
  /** On whose behalf, by your own word; see `onBehalfOf` for a proof. */
  readonly initiator?: string;
}

/** How the client behaves; nothing of it is sent. */
export interface TaskConduct {
  /** Cancels the task and whatever is under way. */
  readonly signal?: AbortSignal;
  /** Whether SIGTERM, SIGINT and SIGHUP cancel the task before they do their work. Default: yes. */
  readonly endOnSignals?: boolean;
  /** How long an end waits until its credentials are seen to be dead; 0 to 60. Default: 5. */
  readonly endWaitSeconds?: number;
  /** Tell the broker the text of an error that ends the task, and not its class alone. */
  readonly reportErrorText?: boolean;
}

export interface TaskOptions extends TaskDescription, TaskConduct, ConnectionOptions {
  /** Where the proof of identity comes from. Default: the first source that serves. */
  readonly identity?: Identity;
  /** A token of the person or service on whose behalf this is: the verified initiator. */
  readonly onBehalfOf?: string | Secret;
}

export interface ChildOptions extends TaskDescription, TaskConduct {
  /** The identity that the child acts as. Default: its parent's. */
  readonly identity?: Identity;
}

export interface DrawOptions {
  readonly params?: { readonly [name: string]: Json };
  readonly ttl?: Duration;
  readonly signal?: AbortSignal;
}

const DESCRIPTION = [
  "goal",
  "deadline",
  "credentials",
  "idleTimeout",
  "ref",
  "targets",
  "initiator",
];
const CONDUCT = ["signal", "endOnSignals", "endWaitSeconds", "reportErrorText"];
const CHILD = [...DESCRIPTION, ...CONDUCT, "identity"];
const TASK = [...CHILD, "url", "issuer", "unsafePlainHttp", "dpop", "onBehalfOf"];
const CREDENTIAL = ["role", "params", "ttl", "issue"];
const END_WAIT_SECONDS_MAX = 60;
export const END_WAIT_SECONDS = 5;
/** The broker's own default is for those who send heartbeats themselves. */
const IDLE_TIMEOUT = "60s";

/** For callers without a type checker: a misspelt option is an error that names it. */
export const checkTaskOptions = (options: TaskOptions): void => check(options, TASK);
export const checkChildOptions = (options: ChildOptions): void => check(options, CHILD);
export const checkDrawOptions = (options: DrawOptions): void =>
  known(options, ["params", "ttl", "signal", "kind"], "draw");

function check(options: TaskOptions | ChildOptions, names: readonly string[]): void {
  known(options, names, "options");
  for (const one of options.credentials ?? []) {
    if (typeof one !== "string") known(one, CREDENTIAL, "credentials");
  }
  if (typeof options.goal !== "string") throw missing("goal");
  if (options.deadline === undefined) throw missing("deadline");
  const wait = options.endWaitSeconds ?? END_WAIT_SECONDS;
  if (!Number.isInteger(wait) || wait < 0 || wait > END_WAIT_SECONDS_MAX) {
    throw invalidOption("endWaitSeconds: expected a whole number, 0 to 60.", "endWaitSeconds");
  }
}

const missing = (name: string): MayflyError =>
  invalidOption(`The option ${name} is required.`, name);

function known(given: object, names: readonly string[], where: string): void {
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw invalidOption(
    `There is no option "${unknown.slice(0, 64)}"; there are ${names.join(", ")}.`,
    where,
  );
}

/** The one object of `authorization_details` that opens the task. */
export function describe(options: TaskDescription, parent: string | null): Record<string, unknown> {
  const { goal, deadline, idleTimeout = IDLE_TIMEOUT, ref, targets, initiator } = options;
  return {
    type: "mayfly-task",
    goal,
    deadline,
    idle_timeout: idleTimeout,
    ...(ref === undefined ? {} : { ref }),
    ...(targets === undefined ? {} : { targets }),
    ...(initiator === undefined ? {} : { initiator }),
    ...(parent === null ? {} : { parent }),
    credentials: (options.credentials ?? []).map((one) =>
      typeof one === "string" ? { role: one } : { ...one },
    ),
  };
}
