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
  for (;;) {
    const between = Math.min(idleMs / BEATS, Math.max(0, session.leftMs()) / 2);
    const wait = failure === null ? between : Math.min(idleMs / TRIES, TRY_AGAIN_MS_MAX);
    try {
      await clock.rest(wait * jitter(session), signal);
      const sentAtMs = clock.monotonicMs();
      await beatOnce(session, signal);
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

async function beatOnce(session: TaskSession, signal: AbortSignal): Promise<void> {
  if (session.needsProof()) {
    try {
      await session.beat("proof", signal);
      return;
    } catch (error) {
      // The source is away for now: the old proof still counts for half the token's life.
      const isOver = MayflyError.is(error) && error.code === "task_ended";
      if (isOver || session.leftMs() <= 0) throw error;
    }
  }
  try {
    await session.beat("token", signal);
  } catch (error) {
    if (!isRefusedToken(error)) throw error;
    await session.beat("proof", signal);
  }
}

function taskLost(id: string, cause: unknown, isOver: boolean): MayflyError {
  const why = MayflyError.is(cause) ? cause.what : "heartbeats fail";
  return new MayflyError({
    code: "task_lost",
    what: isOver
      ? `The task ${id} is over: ${why}`
      : `No heartbeat of the task ${id} was accepted for its whole idle timeout: ${why}`,
    hint: "Its credentials are dead or dying. Stop, and open a new task.",
    trace: MayflyError.is(cause) ? cause.trace : null,
    cause,
  });
}
