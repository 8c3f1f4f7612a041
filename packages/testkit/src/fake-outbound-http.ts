import type { CallContext, OutboundHttp, OutboundJson, OutboundOptions } from "@mayfly/spec";

export interface FakeOutboundHttp extends OutboundHttp {
  /** Every URL that was asked for, in order. */
  readonly requests: readonly string[];
  /** From now on `url` answers so; a function is called for each request and may throw. */
  serve(url: string, answer: FakeAnswer): void;
}
export type FakeAnswer =
  | Partial<OutboundJson>
  | ((options: OutboundOptions, context: CallContext) => Promise<Partial<OutboundJson>>);

const parsed = (text: string): unknown => JSON.parse(text);

/**
 * Outbound HTTP without a network, whose answers are given as text or as what it says; a URL that
 * nobody serves is a failed connection.
 */
export function createFakeOutboundHttp(): FakeOutboundHttp {
  const answers = new Map<string, FakeAnswer>();
  const requests: string[] = [];
  return {
    requests,
    serve: (url, answer) => {
      answers.set(url, answer);
    },
    getJson: async (url, options, context) => {
      requests.push(url);
      const answer = answers.get(url);
      if (answer === undefined) throw new Error("nothing is served there");
      const given = typeof answer === "function" ? await answer(options, context) : answer;
      const { body = given.text === undefined ? null : parsed(given.text) } = given;
      return { status: 200, maxAgeSeconds: null, text: JSON.stringify(body), ...given, body };
    },
  };
}
