import { retryAfterSeconds, serverTls } from "@mayfly/backend-kit";
import {
  parseShallowJson,
  type ApiOutcome,
  type BackendHost,
  type CallContext,
  type OutboundApi,
} from "@mayfly/spec";
import { MinterFailure } from "./minter-failure.ts";
import {
  isDeclined,
  OPERATIONS,
  type AnswerOf,
  type Operation,
  type RequestOf,
} from "./minter-protocol.ts";
import type { MinterSettings } from "./minter-settings.ts";
import { REQUEST_TYPE, requestSigner, type RequestSigner } from "./signed-request.ts";

const CONNECTIONS = 8;
/** A page of a listing: 1,000 entries of some 500 bytes. */
const ANSWER_BYTES_MAX = 1_048_576;

/** The customer's minter, and what the operations of one opened backend share. */
export interface Minter {
  readonly settings: MinterSettings;
  readonly host: BackendHost;
  readonly signer: RequestSigner;
  readonly api: OutboundApi;
}

export function openMinter(settings: MinterSettings, host: BackendHost): Minter {
  const { origin, hostname } = new URL(settings.url);
  const name = hostname.replace(/^\[(.*)\]$/, "$1");
  const api = host.apis.open({
    origin,
    tls: serverTls(settings, name),
    connections: CONNECTIONS,
    timeoutMs: settings.call_seconds_max * 1_000,
    maxBytes: ANSWER_BYTES_MAX,
  });
  return { settings, host, signer: requestSigner(settings, host), api };
}

/**
 * One request, sent once.
 * @param beforeSend throws where nothing may leave any more
 * @throws MinterFailure
 */
export async function ask<O extends Operation>(
  { settings, signer, api }: Minter,
  operation: O,
  request: RequestOf<O>,
  context: CallContext,
  beforeSend: () => void = () => undefined,
): Promise<AnswerOf<O>> {
  const outcome = await api.send(
    {
      method: "POST",
      path: new URL(settings.url).pathname,
      headers: {
        "content-type": `application/${REQUEST_TYPE}`,
        accept: "application/json",
        ...(settings.bearer === undefined ? {} : { authorization: `Bearer ${settings.bearer}` }),
      },
      body: await signer.sign(operation, request),
      beforeSend,
    },
    context,
  );
  return answerOf(operation, bodyOf(outcome));
}

/** The effect is `none` where the minter says so, and where a request was refused for its rate. */
function bodyOf(outcome: ApiOutcome): unknown {
  switch (outcome.kind) {
    case "not_sent":
      throw new MinterFailure("not_sent", "the minter could not be reached; nothing was sent");
    case "lost":
      throw new MinterFailure("lost", "no answer came in time, so it may have happened");
    case "answer":
      break;
  }
  const { status, headers, text } = outcome;
  const seconds = retryAfterSeconds(headers["retry-after"]);
  if (status === 429) throw new MinterFailure("busy", "the minter asks for fewer calls", seconds);
  if (status !== 200) {
    const message = `the minter answered with status ${status}, so it may have happened`;
    throw new MinterFailure("lost", message, seconds);
  }
  try {
    return parseShallowJson(text);
  } catch {
    // The parser's message quotes the answer, which may hold a secret.
    throw new MinterFailure("lost", "the minter's answer is no JSON");
  }
}

function answerOf<O extends Operation>(operation: O, body: unknown): AnswerOf<O> {
  const parsed = OPERATIONS[operation].answer.safeParse(body);
  if (!parsed.success) {
    throw new MinterFailure("lost", `the minter's answer to ${operation} has another form`);
  }
  const answer = parsed.data;
  // The type of `OPERATIONS[operation]` for a variable operation is a union; it is this one's.
  if (!isDeclined(answer)) return answer as AnswerOf<O>;
  const { code, effect, retry_after_seconds: seconds } = answer;
  const message = `the minter declined: ${code}`;
  if (effect === "unknown") throw new MinterFailure("lost", message, seconds);
  throw new MinterFailure(seconds === undefined ? "declined" : "busy", message, seconds);
}
