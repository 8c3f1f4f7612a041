import { z } from "zod";
import {
  durationSeconds,
  idPattern,
  NAME_PATTERNS,
  parseId,
  parseRoleName,
  type CredentialRequest,
  type TaskDescriptor,
  type TaskId,
} from "@mayfly/spec";
import { duration } from "../strict/duration.ts";
import { jsonObject } from "../strict/json-object.ts";
import { parseStrict, parsedBy } from "../strict/parse-strict.ts";
import { shownText } from "../strict/texts.ts";

/** Of one descriptor; each is planned, judged and minted in one request. */
export const CREDENTIALS_MAX = 16;
const TARGETS_MAX = 64;
const DEFAULT_IDLE_SECONDS = durationSeconds(300);
const ROOT = "authorization_details[0]";

/** Where the credential at `index` stands, for messages. */
export const credentialPath = (index: number): string => `${ROOT}.credentials[${index}]`;
export const detailsPath = (member: string): string => `${ROOT}.${member}`;

/** What the one object of `authorization_details` says. Params are raw until the role is known. */
export type TaskDetails =
  | { readonly kind: "open"; readonly descriptor: TaskDescriptor }
  | {
      readonly kind: "continue";
      readonly task: TaskId;
      readonly credentials: readonly CredentialRequest[];
    };

export interface DescriptorLimits {
  readonly taskSecondsMax: number;
}

/**
 * Parses one `mayfly-task` object, closed-world. With `task` it draws on that task, otherwise it
 * opens one. Throws `invalid_task` that names the member.
 */
export function parseTaskDetails(input: unknown, limits: DescriptorLimits): TaskDetails {
  const continues = typeof input === "object" && input !== null && Object.hasOwn(input, "task");
  const forms = taskDetailsForms(limits);
  if (continues) return parseStrict(forms.continue, input, "invalid_task", ROOT);
  const { descriptor } = parseStrict(forms.open, input, "invalid_task", ROOT);
  return { kind: "open", descriptor };
}

/** To make a schema costs many times what it costs to use it. */
const madeForms = new WeakMap<DescriptorLimits, ReturnType<typeof makeForms>>();
const makeForms = (limits: DescriptorLimits) => ({
  open: openForm(limits),
  continue: continueForm(limits),
});

/** The two forms as schemas, from which the API's document is generated. */
export function taskDetailsForms(limits: DescriptorLimits): ReturnType<typeof makeForms> {
  const made = madeForms.get(limits);
  if (made !== undefined) return made;
  const forms = makeForms(limits);
  madeForms.set(limits, forms);
  return forms;
}

const roleName = parsedBy(parseRoleName, { type: "string", pattern: NAME_PATTERNS.role });
const taskId = parsedBy((input, where) => parseId("task", input, where), {
  type: "string",
  pattern: idPattern("task"),
});
const type = z.literal("mayfly-task", { error: 'expected "mayfly-task"' });

const drawn = ({ taskSecondsMax }: DescriptorLimits) =>
  z
    .strictObject({
      role: roleName,
      params: jsonObject.optional(),
      ttl: duration(1, taskSecondsMax).optional(),
    })
    .transform((member): CredentialRequest => ({
      role: member.role,
      params: member.params ?? {},
      ttlSeconds: member.ttl ?? null,
      issue: "now",
    }));

const declared = ({ taskSecondsMax }: DescriptorLimits) =>
  z
    .strictObject({
      role: roleName,
      params: jsonObject.optional(),
      ttl: duration(1, taskSecondsMax).optional(),
      issue: z.enum(["now", "later"], { error: 'expected "now" or "later"' }).optional(),
    })
    .transform((member): CredentialRequest => ({
      role: member.role,
      params: member.params ?? {},
      ttlSeconds: member.ttl ?? null,
      issue: member.issue ?? "now",
    }));

const continueForm = (limits: DescriptorLimits) =>
  z
    .strictObject({
      type,
      task: taskId,
      credentials: z.array(drawn(limits)).max(CREDENTIALS_MAX).optional(),
    })
    .transform((form): TaskDetails => ({
      kind: "continue",
      task: form.task,
      credentials: form.credentials ?? [],
    }));

const target = z
  .string()
  .max(256)
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?:[\x21-\x7e]+$/u, {
    error: "expected <backend>:<what>, printable and without spaces, at most 256 characters",
  });

const openForm = (limits: DescriptorLimits) =>
  z
    .strictObject({
      type,
      version: z.literal(1, { error: "expected 1, the only version of the descriptor" }).optional(),
      goal: shownText(1024),
      ref: shownText(128).optional(),
      deadline: duration(1, limits.taskSecondsMax),
      idle_timeout: duration(1, limits.taskSecondsMax).optional(),
      initiator: shownText(256).optional(),
      targets: z.array(target).max(TARGETS_MAX).optional(),
      credentials: z.array(declared(limits)).max(CREDENTIALS_MAX).optional(),
      parent: taskId.optional(),
      impersonate: z
        .literal(true, { error: "expected true, or leave it out" })
        .optional()
        .meta({
          description:
            "The task's tokens are to name the initiator alone, without `act`: only where a policy " +
            "names the acting workload and this initiator.",
        }),
    })
    .transform((form): { readonly descriptor: TaskDescriptor } => ({
      descriptor: {
        version: 1,
        goal: form.goal,
        ref: form.ref ?? null,
        deadlineSeconds: form.deadline,
        idleTimeoutSeconds: form.idle_timeout ?? DEFAULT_IDLE_SECONDS,
        claimedInitiator: form.initiator ?? null,
        targets: [...new Set(form.targets)].toSorted(),
        credentials: form.credentials ?? [],
        parent: form.parent ?? null,
        ...(form.impersonate === undefined ? {} : { impersonate: form.impersonate }),
      },
    }));
