import { z } from "zod";
import { SEALED_KINDS } from "@mayfly/spec";

/** What `routes/keys.ts` reads. */
export const resealSchema = z.strictObject({
  after: z.string().max(256).optional().meta({ description: "`next` of the answer before." }),
});

const instant = z.iso.datetime();
const count = z.number().int().min(0);

/** And what it answers. */
export const sealingAnswer = z.strictObject({
  keys: z.array(z.string()).meta({ description: "The ring of this broker; the first one seals." }),
  counts: z.array(
    z.strictObject({
      kind: z.enum(SEALED_KINDS),
      key: z.string().nullable().meta({ description: "Null: what stands there is not sealed." }),
      values: count,
    }),
  ),
});
export const resealAnswer = z.strictObject({
  resealed: count,
  changed: count.meta({ description: "Written anew by somebody else meanwhile." }),
  unopened: z.array(z.string()).meta({ description: "Places of what does not open." }),
  next: z.string().nullable().meta({ description: "Null: that was all." }),
});
export const signingKeysAnswer = z.strictObject({
  items: z.array(
    z.strictObject({
      kid: z.string(),
      state: z.enum(["next", "signs", "verifies", "retired"]),
      created_at: instant,
      signs_from: instant,
      verifies_until: instant.nullable(),
    }),
  ),
});
export const rotatedAnswer = z.strictObject({
  result: z.enum(["added", "already"]),
  kid: z.string(),
  signs_from: instant,
});
export const retiredBackendKeyAnswer = z.strictObject({
  result: z.enum(["retired", "already"]),
  kid: z.string(),
  replaced_by: z.string().nullable(),
});
export const retiredAnswer = retiredBackendKeyAnswer.extend({
  tasks_active: count.meta({
    description: "They live on; who holds a token of that key proves its identity again.",
  }),
});
export const kidShape = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "expected the id of a key");
