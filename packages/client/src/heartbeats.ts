import { MayflyError } from "./mayfly-error.ts";
import { isRefusedToken, type TaskSession } from "./task-session.ts";

/** Beats per idle timeout: two may be lost. */
const BEATS = 3;
/** After a failure, so that several tries fit into what is left. */
const TRIES = 12;
const TRY_AGAIN_MS_MAX = 5_000;

/**
 * Says that the task is alive, until the signal; a third of the idle timeout apart, and often
 * enough that the task token never runs out. Calls `lost` once: when the broker says that the task
 * has ended, or when no heartbeat was accepted for a whole idle timeout, whatever the reason.
 */
export async function keepAlive(
  session: TaskSession,
  idleTimeoutSeconds: number,
  lost: (why: MayflyError) => void,
  signal: AbortSignal,
): Promise<void> {
  const { clock } = session.around;
  const idleMs = idleTimeoutSeconds * 1_000;
  let acceptedAtMs = clock.monotonicMs();
  let failure: unknown = null;
  const prove = prover(session, signal);
  for (;;) {
    const between = Math.min(idleMs / BEATS, Math.max(0, session.leftMs()) / 2);
    const wait = failure === null ? between : Math.min(idleMs / TRIES, TRY_AGAIN_MS_MAX);
    try {
      await clock.rest(wait * jitter(session), signal);
      const sentAtMs = clock.monotonicMs();
      await beatOnce(session, prove, idleMs / BEATS, signal);
      acceptedAtMs = sentAtMs;
      failure = null;
    } catch (error) {
      if (signal.aborted) return;
      failure = error;
      const isOver = MayflyError.is(error) && ["task_ended", "not_found"].includes(error.code);
      if (isOver || clock.monotonicMs() - acceptedAtMs >= idleMs) {
        lost(taskLost(session.id, error, isOver));
        return;
      }
    }
  }
}

/** 0.9 to 1: never later than meant. */
const jitter = (session: TaskSession): number =>
  0.9 + (session.around.randomBytes(1)[0] ?? 0) / 2_560;

type Proving = () => Promise<Proven>;
type Proven = { readonly is: "proven" } | { readonly is: "failed"; readonly error: unknown };

/**
 * A heartbeat by a fresh proof: one at a time, which whoever asks meanwhile waits for too. The
 * first that fails is told: there is time left to mend the source.
 */
function prover(session: TaskSession, signal: AbortSignal): Proving {
  let underWay: Promise<Proven> | null = null;
  let isTold = false;
  const failed = (error: unknown): Proven => {
    if (!isTold && !signal.aborted && isAboutIdentity(error)) {
      isTold = true;
      session.around.warn(unproven(session, error));
    }
    return { is: "failed", error };
  };
  return () => {
    underWay ??= session
      .beat("proof", signal)
      .then((): Proven => {
        isTold = false;
        return { is: "proven" };
      }, failed)
      .finally(() => {
        underWay = null;
      });
    return underWay;
  };
}

/** Waits `patienceMs` for a proof while the token counts: a source that hangs holds up no beat. */
async function beatOnce(
  session: TaskSession,
  prove: Proving,
  patienceMs: number,
  signal: AbortSignal,
): Promise<void> {
  if (session.needsProof()) {
    const proven =
      session.leftMs() <= 0 ? await prove() : await within(session, patienceMs, prove());
    if (proven?.is === "proven") return;
    if (proven?.is === "failed") {
      // The source is away for now: the old proof still counts for half the token's life.
      const isOver = MayflyError.is(proven.error) && proven.error.code === "task_ended";
      if (isOver || session.leftMs() <= 0) throw proven.error;
    }
  }
  try {
    await session.beat("token", signal);
  } catch (error) {
    if (!isRefusedToken(error)) throw error;
    const proven = await prove();
    if (proven.is === "failed") throw proven.error;
  }
}

/** Null where it takes longer; it goes on all the same. */
async function within<T>(
  { around }: TaskSession,
  ms: number,
  outcome: Promise<T>,
): Promise<T | null> {
  const isKnown = new AbortController();
  const late = around.clock.rest(ms, isKnown.signal).then(
    () => null,
    () => null,
  );
  try {
    return await Promise.race([outcome, late]);
  } finally {
    isKnown.abort();
  }
}

const isAboutIdentity = (error: unknown): error is MayflyError =>
  MayflyError.is(error) && ["invalid_identity", "identity_unavailable"].includes(error.code);

const unproven = (session: TaskSession, cause: MayflyError): MayflyError =>
  new MayflyError({
    code: "identity_not_renewed",
    what:
      `Identity could not be proven afresh for ${session.id}: ${cause.what} Its last proof ` +
      `counts for ${Math.max(0, Math.round(session.leftMs() / 1_000))} s more; then it is lost.`,
    hint: cause.hint,
    trace: cause.trace,
    cause,
  });

/** The broker's own hint counts: of a task that was killed it says to open no other. */
function hintOfLoss(cause: unknown, isOver: boolean): string {
  const dead = "Its credentials are dead or dying.";
  const hint = MayflyError.is(cause) && (isOver || isAboutIdentity(cause)) ? cause.hint : null;
  return hint === null ? `${dead} Stop, and open a new task.` : `${dead} ${hint}`;
}

export function taskLost(id: string, cause: unknown, isOver: boolean): MayflyError {
  const why = MayflyError.is(cause) ? cause.what : "heartbeats fail";
  return new MayflyError({
    code: "task_lost",
    what: isOver
      ? `The task ${id} is over: ${why}`
      : `No heartbeat of the task ${id} was accepted for its whole idle timeout: ${why}`,
    hint: hintOfLoss(cause, isOver),
    trace: MayflyError.is(cause) ? cause.trace : null,
    cause,
  });
}
