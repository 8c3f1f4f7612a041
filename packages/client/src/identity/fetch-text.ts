import type { Surroundings } from "../surroundings.ts";
import { shortReason, SourceFailure } from "./identity-source.ts";

const ANSWER_CHARACTERS_MAX = 64 * 1024;

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

/** One GET with a deadline, for services that hand out identity tokens. Never shows what came. */
export async function fetchText(
  url: string,
  headers: Readonly<Record<string, string>>,
  timeoutMs: number,
  around: Surroundings,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  if (signal?.aborted === true) abort();
  signal?.addEventListener("abort", abort, { once: true });
  const done = new AbortController();
  around.clock.sleep(timeoutMs, done.signal).then(abort, () => undefined);
  try {
    const init: RequestInit = { headers, redirect: "error", signal: stop.signal };
    const response = await around.fetch(url, init);
    const text = await response.text();
    if (text.length > ANSWER_CHARACTERS_MAX) throw new SourceFailure("its answer is too long");
    return { status: response.status, text, headers: response.headers };
  } catch (error) {
    if (error instanceof SourceFailure) throw error;
    const host = new URL(url).host;
    throw new SourceFailure(
      stop.signal.aborted ? `${host} did not answer in time` : `${host}: ${shortReason(error)}`,
    );
  } finally {
    done.abort();
    signal?.removeEventListener("abort", abort);
  }
}
