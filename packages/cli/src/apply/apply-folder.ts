import { z } from "zod";
import type { JsonObject, PolicySource } from "@mayfly/spec";
import { listAnswer, rawAnswer, readAnswer } from "../api/answers.ts";
import type { BrokerApi } from "../api/broker-api.ts";
import { CliError, toCliError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import { cleanText } from "../render/clean-text.ts";
import type { Session } from "../session.ts";
import { objectText, summaryText, type ReportedObject } from "./apply-report.ts";
import { readDesired, refuseLiterals, resolveDesired } from "./desired-objects.ts";
import { findApplyFiles } from "./find-apply-files.ts";
import {
  planActivation,
  planObjects,
  preconditionOf,
  type PlannedActivation,
  type PlannedPut,
} from "./plan-apply.ts";
import { planPolicies, type PlannedPolicies, type PlannedSource } from "./plan-policies.ts";
import { planPrune, registeredShapes, type PlannedDeletion } from "./plan-prune.ts";
import { unknownNames } from "./unknown-names.ts";

export interface ApplyOptions {
  readonly dryRun: boolean;
  readonly prune: boolean;
  readonly yes: boolean;
  /** Ends a dry run with 1 where something would change. */
  readonly exitCode: boolean;
}

/** One call that changes something, and the objects of the report that it is about. */
interface Step {
  readonly objects: readonly ReportedObject[];
  readonly text: string;
  run(): Promise<void>;
}
interface Plan {
  readonly objects: readonly ReportedObject[];
  readonly steps: readonly Step[];
  readonly tests: PlannedPolicies["tests"];
  /** To be told before a yes; null: of what is put, none is asked. */
  readonly warning: string | null;
}

/**
 * Makes what is registered what the files say: reads all of them, asks what would change, shows it,
 * and does exactly that, one durable step after the other. It stops at the first failure; running
 * it again goes on from there.
 */
export async function applyFolder(
  session: Session,
  folder: string,
  options: ApplyOptions,
): Promise<void> {
  const plan = await makePlan(session, folder, options);
  showPlan(session, plan);
  const refused = plan.objects.find(({ error }) => error !== null)?.error;
  const failedTests = plan.tests.filter(({ result }) => !result.passed);
  if (refused || failedTests.length > 0 || options.dryRun) {
    report(session, plan, options);
    if (refused) throw refusedPlan(refused, plan);
    if (failedTests.length > 0) {
      session.note(
        `${failedTests.length} of ${plan.tests.length} policy tests failed; nothing was done`,
      );
      return session.found();
    }
    if (options.exitCode && plan.steps.length > 0) session.found();
    return;
  }
  const deletions = plan.objects.filter(({ action }) => action === "delete");
  const lines = deletions.map(({ kind, name, note }) =>
    cleanText(`deletes ${kind} ${name}${note === null ? "" : `: ${note}`}`),
  );
  if (plan.warning !== null) lines.push(plan.warning);
  if (lines.length > 0) await session.confirm(lines, options.yes);
  await runSteps(session, plan, options);
}

async function makePlan(session: Session, folder: string, options: ApplyOptions): Promise<Plan> {
  const files = findApplyFiles(folder);
  const desired = readDesired(files);
  const api = session.api();
  await refuseLiterals(
    api,
    desired.filter(({ kind }) => kind === "backend"),
  );
  const bodies = await resolveDesired(desired, session.io);
  const registered = {
    backends: await list(api, "/v1/backends", registeredShapes.backend),
    roles: await list(api, "/v1/roles", registeredShapes.role),
    trust: await list(api, "/v1/trust", registeredShapes.trust),
    servers: await listServers(api),
  };
  const active = activePolicies(await api.get("/v1/policies"));
  const policies = await asJudged(
    api,
    planPolicies(folder, files, active.sources, registered.roles, options.prune),
  );
  const puts = await planObjects(api, bodies);
  const deletions = options.prune ? await planPrune(api, files, desired, registered) : [];
  const names = unknownNames(policies.activate ?? [], desired, registered, deletions);
  return assemble(api, bodies, puts, { ...policies, names, before: active.digest }, deletions);
}

const sourcesShape = z.looseObject({
  digest: z.string().nullable(),
  sources: z.array(z.looseObject({ name: z.string(), text: z.string() })),
});

/** As they are: cleaned for a terminal, a policy would differ from its file. */
function activePolicies(answer: unknown) {
  const { digest, sources } = rawAnswer(sourcesShape, answer);
  return { digest, sources: sources.map(({ name, text }): PolicySource => ({ name, text })) };
}

interface JudgedPolicies extends PlannedPolicies, Pick<PlannedActivation, "warning" | "doubts"> {}

/**
 * As the broker compiles and permits them; its words name the file. Other comments, or other files
 * of the same policies, change nothing, and would be seen as a change for ever.
 */
async function asJudged(api: BrokerApi, planned: PlannedPolicies): Promise<JudgedPolicies> {
  if (planned.activate === null) return { ...planned, ...NO_DOUBTS };
  const { changes, ...told } = await planActivation(api, planned.activate);
  if (changes) return { ...planned, ...told };
  const sources = planned.sources.map((source) => ({
    ...source,
    action: source.action === "delete" ? ("keep" as const) : ("unchanged" as const),
  }));
  return { ...planned, sources, activate: null, ...NO_DOUBTS };
}

const NO_DOUBTS = { warning: null, doubts: new Map<string, readonly string[]>() };

async function list<T>(
  api: Pick<BrokerApi, "get">,
  path: string,
  shape: z.ZodType<T>,
): Promise<readonly T[]> {
  const { items } = readAnswer(listAnswer, await api.get(path));
  return items.map((item) => readAnswer(shape, item));
}

/** A broker of an earlier version has none. */
async function listServers(api: Pick<BrokerApi, "get">) {
  try {
    return await list(api, "/v1/resource-servers", registeredShapes.server);
  } catch (error) {
    if (error instanceof CliError && error.parts.code === "not_found") return [];
    throw error;
  }
}

const NOTHING = { changes: [], note: null, source: null, error: null, outcome: "planned" } as const;

/**
 * In the order of the steps: trust, backends, roles, resource servers, policies; then deletions the
 * other way.
 */
function assemble(
  api: BrokerApi,
  bodies: ReadonlyMap<PlannedPut["desired"], JsonObject>,
  puts: readonly PlannedPut[],
  policies: JudgedPolicies & {
    readonly names: ReadonlyMap<string, string>;
    readonly before: string | null;
  },
  deletions: readonly PlannedDeletion[],
): Plan {
  const objects: ReportedObject[] = [];
  const steps: Step[] = [];
  for (const put of puts) {
    const { kind, name } = put.desired;
    const action = ACTIONS[put.result];
    const object = { ...NOTHING, kind, name, action, changes: put.changes, error: put.error };
    objects.push(object);
    if (action !== "create" && action !== "update") continue;
    const text = `${put.result}  ${kind} ${name}`;
    const run = () => putObject(api, put, bodies.get(put.desired) ?? {});
    steps.push({ objects: [object], text, run });
  }
  const isShown = ({ action }: PlannedSource): boolean =>
    action !== "keep" && action !== "unchanged";
  const firstShown = policies.sources.find(isShown);
  const sources = policies.sources.map((source): ReportedObject => {
    const { name, action } = source;
    const shown = isShown(source) ? source : null;
    const notes = [
      source === firstShown ? policies.warning : null,
      shown === null ? null : (policies.names.get(name) ?? null),
      ...(shown === null ? [] : (policies.doubts.get(name) ?? [])),
    ].filter((each) => each !== null);
    const note = notes.length === 0 ? null : notes.join(" ");
    return { ...NOTHING, kind: "policy", name, action, note, source: shown };
  });
  objects.push(...sources);
  const { activate } = policies;
  if (activate !== null) {
    const changed = sources.filter(({ source }) => source !== null);
    const body = { sources: activate.map(({ name, text }) => ({ name, text })) };
    const text = `activated  ${activate.length} files of policies`;
    const run = async (): Promise<void> => {
      await api.send("PUT", "/v1/policies", body, preconditionOf(policies.before));
    };
    steps.push({ objects: changed, text, run });
  }
  for (const { kind, name, action, note, tag } of deletions) {
    const object: ReportedObject = { ...NOTHING, kind, name, action, note };
    objects.push(object);
    if (action === "keep") continue;
    const run = async (): Promise<void> => {
      await api.send("DELETE", pathOf(kind, name), undefined, preconditionOf(tag));
    };
    steps.push({ objects: [object], text: `deleted  ${kind} ${name}`, run });
  }
  return { objects, steps, tests: policies.tests, warning: policies.warning };
}

const ACTIONS = {
  created: "create",
  updated: "update",
  unchanged: "unchanged",
  refused: "refused",
} as const;

const FOLDERS = {
  trust: "trust",
  backend: "backends",
  role: "roles",
  resource_server: "resource-servers",
} as const;

function pathOf(kind: keyof typeof FOLDERS, name: string): string {
  const folder = FOLDERS[kind];
  return `/v1/${folder}/${name.split("/").map(encodeURIComponent).join("/")}`;
}

/** The path names the object; its own member for that is left out of the body. */
async function putObject(
  api: BrokerApi,
  { desired: { kind, name }, precondition }: PlannedPut,
  members: JsonObject,
): Promise<void> {
  const body = Object.fromEntries(Object.entries(members).filter(([key]) => key !== kind));
  await api.send("PUT", pathOf(kind, name), body, precondition);
}

function showPlan(session: Session, { objects, tests }: Plan): void {
  if (session.json || session.quiet) return;
  session.text(objects.map((object) => objectText(object, session.paint)).join(""));
  for (const { place, result } of tests.filter((each) => !each.result.passed)) {
    session.text(
      `${session.paint.red("✗")} ${cleanText(result.name)}  ${session.paint.dim(place)}\n`,
    );
    for (const difference of result.differences) session.text(`    ${cleanText(difference)}\n`);
  }
}

/** With `--json` the one document; otherwise the last line. */
function report(session: Session, { objects, tests }: Plan, options: ApplyOptions): void {
  if (!session.json) {
    if (!session.quiet) session.text(`${summaryText(objects, options.dryRun)}\n`);
    return;
  }
  const count = (action: ReportedObject["action"]): number =>
    objects.filter((each) => each.action === action).length;
  session.record({
    dry_run: options.dryRun,
    objects: objects.map((object) => ({
      kind: object.kind,
      name: object.name,
      action: object.action,
      outcome: object.outcome,
      changes: object.changes,
      note: object.note,
      error: object.error === null ? null : errorMembers(object.error),
    })),
    policy_tests: {
      passed: tests.filter(({ result }) => result.passed).length,
      failed: tests
        .filter(({ result }) => !result.passed)
        .map(({ place, result }) => ({
          name: result.name,
          where: place,
          differences: result.differences,
        })),
    },
    summary: {
      create: count("create"),
      update: count("update"),
      delete: count("delete"),
      unchanged: count("unchanged"),
      keep: count("keep"),
      refused: count("refused"),
    },
  });
}

const errorMembers = ({ parts }: CliError) => ({
  code: parts.code,
  detail: parts.what,
  where: parts.where ?? null,
  todo: parts.todo,
});

function refusedPlan(first: CliError, { objects }: Plan): CliError {
  const count = objects.filter(({ error }) => error !== null).length;
  return new CliError(
    {
      code: first.parts.code,
      what: `${count} ${count === 1 ? "object" : "objects"} would be refused; nothing was done.`,
      where: first.parts.where ?? null,
      why: first.parts.what,
      todo: first.parts.todo,
      exit:
        first.parts.code === "invalid_input" || first.parts.code === "config_invalid"
          ? EXIT.config
          : first.parts.exit,
    },
    first,
  );
}

/** Each step is durable when its call answers. What was not reached is said. */
async function runSteps(session: Session, plan: Plan, options: ApplyOptions): Promise<void> {
  for (const object of plan.objects) {
    if (object.action === "unchanged") object.outcome = "done";
  }
  for (const [at, step] of plan.steps.entries()) {
    try {
      await step.run();
      for (const object of step.objects) object.outcome = "done";
      session.note(cleanText(step.text));
    } catch (error) {
      const failure = toCliError(error);
      for (const object of step.objects) object.outcome = "failed";
      if (isKept(step, failure)) {
        keptAfterAll(session, step, failure);
        continue;
      }
      for (const { objects } of plan.steps.slice(at + 1)) {
        for (const object of objects) object.outcome = "not_done";
      }
      report(session, plan, options);
      throw stopped(plan, at, failure);
    }
  }
  report(session, plan, options);
  const kept = plan.objects.filter(({ action, note }) => action === "keep" && note !== null);
  if (kept.length > 0) session.found();
}

/** A lease that came to life after the plan was made: the backend stays, the rest goes on. */
const isKept = ({ objects: [object] }: Step, failure: CliError): boolean =>
  object?.kind === "backend" && object.action === "delete" && failure.parts.code === "conflict";

function keptAfterAll(session: Session, { objects }: Step, failure: CliError): void {
  const names = objects.map(({ kind, name }) => `${kind} ${name}`).join(", ");
  session.note(cleanText(`kept  ${names}: ${failure.parts.what}`));
  session.found();
}

/** Preconditions are this command's own affair: what the broker says of them helps nobody here. */
function todoAfter({ parts: { code, todo } }: CliError): string {
  switch (code) {
    case "interrupted":
      return "Run it again: it goes on from where it stopped.";
    case "precondition_failed":
      return "Somebody else changed it meanwhile. Run it with --dry-run, and see what is left.";
    default:
      return `${todo} Then run it again: it goes on from where it stopped.`;
  }
}

/** The failure itself, with what was done before it and what was not. */
function stopped({ steps }: Plan, at: number, failure: CliError): CliError {
  const namesOf = (some: readonly Step[]): readonly string[] =>
    some.flatMap(({ objects }) => objects.map(({ kind, name }) => `${kind} ${name}`));
  return new CliError(
    {
      ...failure.parts,
      todo: todoAfter(failure),
      more: {
        ...failure.parts.more,
        failed: namesOf(steps.slice(at, at + 1)),
        done: namesOf(steps.slice(0, at)),
        not_done: namesOf(steps.slice(at + 1)),
      },
    },
    failure,
  );
}
