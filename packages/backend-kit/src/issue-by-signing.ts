import { BackendError, type IssueContext } from "@mayfly/spec";
import { notSent, refuseAborted, refusePast } from "./refuse-late.ts";

/**
 * For a type that asks no upstream and signs what it issues. The lease's row is the durable record:
 * it was there before, and what is signed leaves after the lease is active. So what is signed too
 * late, or for a call that was aborted, is thrown away here, and nobody saw it.
 */
export async function issueBySigning<T>(
  what: string,
  context: IssueContext,
  sign: () => Promise<T>,
): Promise<T> {
  refusePast(context, what);
  refuseAborted(context, what);
  const signed = await orAborted(what, context.signal, sign);
  // Something may have waited: for the ledger's keys, say.
  refusePast(context, what);
  return signed;
}

/** Of the step that signs: whatever fails there, nothing was signed. `key` names what signs. */
export async function orNothingSigned<T>(
  what: string,
  key: string,
  sign: () => Promise<T>,
): Promise<T> {
  try {
    return await sign();
  } catch (cause) {
    throw notSent(`${what}: no ${key} can be used now; nothing was signed`, 1, cause);
  }
}

/** I2. Aborted under way: something may have been signed, which this call will not hand out. */
async function orAborted<T>(what: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void =>
    aborted.reject(
      new BackendError(`${what}: aborted under way`, {
        cause: signal.reason,
        effect: "unknown",
        retry: { kind: "never" },
      }),
    );
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work(), aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
