import {
  InvalidInput,
  type BackendCapabilities,
  type CheckProblem,
  type JsonSchema,
} from "@mayfly/spec";
import { z } from "zod";
import { toJsonSchema } from "./json-schema.ts";
import { parseStrict } from "./parse-strict.ts";

const schema = z
  .strictObject({
    concurrency: z
      .int()
      .min(1)
      .max(1_000)
      .optional()
      .describe(
        "Calls under way at once, of one process: of all brokers and workers together as many " +
          "times more. Ends go first, and one place is never issuing's.",
      ),
    per_second: z
      .number()
      .positive()
      .max(10_000)
      .optional()
      .describe(
        "Calls begun in a second, on average, by all brokers and workers together; ends go first. " +
          "At least 0.5 for each worker.",
      ),
    burst: z
      .int()
      .min(1)
      .max(10_000)
      .optional()
      .describe(
        "Calls that may begin together after a pause, of all processes; a fifth of them no mint " +
          "gets. Default: those of one second, at least 2.",
      ),
    call_seconds_max: z
      .int()
      .min(1)
      .max(300)
      .optional()
      .describe(
        "After it a mint or a renewal is given up; what it did is then not known. Of nothing else.",
      ),
    breaker: z
      .strictObject({
        failures: z
          .int()
          .min(1)
          .max(1_000)
          .default(5)
          .describe(
            "Mints and renewals in a row that got no answer, or one of overload, until it opens.",
          ),
        open_seconds: z.int().min(1).max(300).default(30).describe("From one trial to the next."),
      })
      .optional()
      .describe("Issuing fails at once while the upstream does, but for one trial at a time."),
  })
  .describe(
    "Bounds of what is asked of the upstream: by all processes together where it is a rate, else " +
      "by each for itself.",
  );

/** Two calls are one end, and the claim of an end is over after 30 s. */
const PER_SECOND_MIN = 0.5;

/** `limits` of a backend's configuration; nothing is bounded that is not there. */
export type LimitSettings = z.infer<typeof schema>;

export const LIMITS_SCHEMA: JsonSchema = toJsonSchema(schema);

/** Throws {@link InvalidInput} by its place, `config.limits.breaker.failures`. */
export function parseLimits(
  input: unknown,
  { issueCallSecondsMax }: Pick<BackendCapabilities, "issueCallSecondsMax">,
): LimitSettings {
  const limits = parseStrict(schema, input, "config.limits");
  if (limits.burst !== undefined && limits.per_second === undefined) {
    throw new InvalidInput("config.limits.burst: it needs per_second", {
      where: "config.limits.burst",
    });
  }
  if ((limits.call_seconds_max ?? 0) > issueCallSecondsMax) {
    throw new InvalidInput(
      `config.limits.call_seconds_max: a call of this type takes at most ${issueCallSecondsMax} s`,
      { where: "config.limits.call_seconds_max" },
    );
  }
  return limits;
}

/**
 * Where an end, a revoke and its probe, might not fit in its claim. By the self-check, as a parse
 * that refused it would keep a backend that is registered so from being opened to end its leases.
 */
export function limitProblems({ per_second: rate, burst }: LimitSettings): readonly CheckProblem[] {
  const code = "limits_below_ends";
  if (rate !== undefined && rate < PER_SECOND_MIN) {
    const what = `limits.per_second is ${rate}: an end is two calls, and is not done in its time`;
    return [{ code, what, fix: `Write limits.per_second: ${PER_SECOND_MIN}, or more.` }];
  }
  if (rate !== undefined && rate < 1 && burst === 1) {
    const what = "limits.burst is 1 with limits.per_second below 1, and an end is two calls";
    return [{ code, what, fix: "Write limits.burst: 2, or more, or leave it out." }];
  }
  return [];
}
