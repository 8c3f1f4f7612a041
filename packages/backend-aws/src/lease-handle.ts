import { SHORT_LEASE_NAME_PATTERN } from "@mayfly/backend-kit";
import { instantMs, Secret, type InstantMs } from "@mayfly/spec";
import { z } from "zod";

/** What ending a session needs to know of it. */
export interface LeaseHandle {
  /** Of the session. */
  readonly name: string;
  /** The IAM role that it is a session of. */
  readonly place: string;
  /** When AWS has ended by itself it, and whatever may have been made of it. */
  readonly until: InstantMs;
}

const handle = z.strictObject({
  v: z.literal(1),
  name: z.string().regex(new RegExp(SHORT_LEASE_NAME_PATTERN)),
  place: z.string().regex(/^[\w+=,.@-]{1,64}$/),
  until: z.int().min(0).transform(instantMs),
});

export const writeHandle = (of: LeaseHandle): Secret => Secret.of(JSON.stringify({ v: 1, ...of }));

export function readHandle(text: Secret): LeaseHandle {
  const parsed = handle.safeParse(JSON.parse(text.expose("upstream")));
  if (!parsed.success) throw new TypeError("not a handle of this type of backend");
  const { v: _, ...of } = parsed.data;
  return of;
}
