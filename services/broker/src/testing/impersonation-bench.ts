import { decodeJwt } from "jose";
import type { Answer, BrokerBench } from "./broker-bench.ts";
import { READER } from "./registered.ts";
import { OIDC_ISSUER } from "./test-identities.ts";
import { createTokenBench } from "./token-api.ts";
import { exchange, readerTask } from "./token-form.ts";

export const BOT = "spiffe://acme.test/agent/bot";
export const SUB_BOT = "spiffe://acme.test/agent/vat-bot";
export const ALICE = `${OIDC_ISSUER}#alice`;
export const CREDENTIALS = `
@id("agents-draw")
permit (principal, action in Action::"credential", resource);`;
/** The bot may appear as alice. */
export const PAIR = `
@id("bot-as-alice")
permit (
  principal == Workload::"${BOT}",
  action == Action::"impersonate",
  resource == Initiator::"${ALICE}"
);`;

/** A broker with a backend that signs tokens, and policies that permit the pair. */
export interface ImpersonationBench extends BrokerBench {
  put(...policies: readonly string[]): Promise<Answer>;
  /** Throws where the policies are refused. */
  decideBy(...policies: readonly string[]): Promise<void>;
  person(name: string, claims?: Readonly<Record<string, unknown>>): string;
  /** The bot asks to appear as alice, unless told otherwise. */
  ask(change?: AskChange): Promise<Answer>;
}
interface AskChange {
  readonly subject?: string;
  readonly actor?: string;
  readonly details?: unknown;
  readonly path?: "/token" | "/v1/explain";
}

/** The one object of `authorization_details`. */
export const asking = (change: Readonly<Record<string, unknown>> = {}): unknown =>
  readerTask({ impersonate: true, credentials: [{ role: READER }], ...change });

export async function createImpersonationBench(): Promise<ImpersonationBench> {
  const bench = await createTokenBench();
  const put = (...policies: readonly string[]): Promise<Answer> =>
    bench.admin("PUT", "/v1/policies", {
      sources: [{ name: "p.cedar", text: policies.join("\n") }],
    });
  const decideBy = async (...policies: readonly string[]): Promise<void> => {
    const answer = await put(...policies);
    if (answer.status !== 200) throw new Error(answer.text);
  };
  const person = (name: string, claims: Readonly<Record<string, unknown>> = {}): string =>
    bench.identities.oidc(name, { claims });
  await decideBy(CREDENTIALS, PAIR);
  return {
    ...bench,
    put,
    decideBy,
    person,
    ask: ({ subject, actor = "bot", details = asking(), path = "/token" } = {}) =>
      exchange(bench, subject ?? person("alice"), {
        actor: bench.identities.svid(actor),
        details,
        path,
      }),
  };
}

export const partiesIn = (token: string): unknown => {
  const { sub, act, client_id } = decodeJwt(token);
  return { sub, act, client_id };
};
export const AS_ALICE = { sub: ALICE, act: undefined, client_id: BOT };
export const FOR_ALICE = { sub: ALICE, act: { sub: BOT }, client_id: BOT };
