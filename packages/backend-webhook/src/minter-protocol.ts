import { z } from "zod";

/**
 * What a minter is asked and answers, in JSON. Times are RFC 3339 in UTC. Every answer is strict:
 * what has another form is no answer, and then anything may have happened.
 */
export const PROTOCOL = 1;

const NAME = /^[a-z][a-z0-9_]{0,63}$/;
const name = z.string().regex(NAME);
const code = z.string().regex(NAME);
const time = z.iso.datetime();
const id = z.string().min(1).max(200);
const leaseName = z.string().max(64);
const list = z.array(z.string().max(256)).max(64);
const scalar = z.union([z.string().max(4_096), z.number(), z.boolean(), list]);
/** Kept in the ledger with the lease, for as long as that. */
const LOOKED_MAX = 16;
const looked = z
  .record(name, z.union([z.string().max(256), z.number(), z.boolean()]))
  .refine((members) => Object.keys(members).length <= LOOKED_MAX, {
    message: `expected at most ${LOOKED_MAX} members`,
  })
  .meta({ maxProperties: LOOKED_MAX });
const lease = z.strictObject({ name: leaseName, id });

/** What a role fixes, and of what it allows the values that a request chose. */
export const mintGrant = z.strictObject({
  fixed: z.record(name, z.union([z.string().max(1_024), z.number(), z.boolean()])),
  allowed: z.record(name, z.array(z.string().min(1).max(256)).min(1).max(64)),
});
export type MintGrant = z.infer<typeof mintGrant>;

/** Of any operation: the minter did not do it. A credential that it made anyway is `unknown`. */
const declined = z.strictObject({
  result: z.literal("declined"),
  effect: z.enum(["none", "unknown"]),
  code,
  retry_after_seconds: z.int().min(1).max(3_600).optional(),
});

const of = <const R extends string>(result: R) => z.strictObject({ result: z.literal(result) });

/** Each operation: what `request` of the signed claims holds, and what the answer may be. */
export const OPERATIONS = {
  describe: {
    request: z.strictObject({}),
    answer: z.union([
      z.strictObject({
        result: z.literal("described"),
        protocol: z.literal(PROTOCOL),
        identity: z.string().min(1).max(200),
        now: time,
        problems: z
          .array(z.strictObject({ code, what: z.string().max(500), fix: z.string().max(500) }))
          .max(32),
      }),
      declined,
    ]),
  },
  issue: {
    request: z.strictObject({
      name: leaseName,
      mark: z.string().max(200),
      grant: mintGrant,
      expires_at: time,
      deadline: time,
    }),
    answer: z.union([
      z.strictObject({
        result: z.literal("issued"),
        id,
        expires_at: time,
        public: z.record(name, scalar),
        secret: z
          .record(name, z.string().min(1).max(16_384))
          .refine((members) => Object.keys(members).length > 0, { message: "expected a member" }),
      }),
      of("name_taken"),
      declined,
    ]),
  },
  recover: {
    request: z.strictObject({ name: leaseName, quarantine_seconds: z.int() }),
    answer: z.union([
      z.strictObject({ result: z.enum(["absent", "destroyed"]), looked }),
      z.strictObject({ result: z.literal("wait"), seconds: z.int().min(1).max(86_400) }),
      declined,
    ]),
  },
  revoke: { request: lease, answer: z.union([of("ended"), of("pending"), declined]) },
  probe: {
    request: lease,
    answer: z.union([
      z.strictObject({ result: z.enum(["accepted", "refused"]), looked }),
      declined,
    ]),
  },
  renew: {
    request: lease.extend({ expires_at: time, deadline: time }),
    answer: z.union([
      z.strictObject({ result: z.literal("renewed"), expires_at: time }),
      of("gone"),
      declined,
    ]),
  },
  list: {
    request: z.strictObject({ after: leaseName.nullable() }),
    answer: z.union([
      z.strictObject({
        result: z.literal("listed"),
        items: z.array(lease.extend({ mark: z.string().max(200) })).max(1_000),
        next: leaseName.nullable(),
      }),
      declined,
    ]),
  },
} as const;

export type Operation = keyof typeof OPERATIONS;
export type RequestOf<O extends Operation> = z.infer<(typeof OPERATIONS)[O]["request"]>;
type Declined = z.infer<typeof declined>;
/** What is left once `declined` was told apart. */
export type AnswerOf<O extends Operation> = Exclude<
  z.infer<(typeof OPERATIONS)[O]["answer"]>,
  Declined
>;
export const isDeclined = (answer: { readonly result: string }): answer is Declined =>
  answer.result === "declined";
