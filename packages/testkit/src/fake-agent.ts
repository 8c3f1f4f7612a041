import {
  BrokerError,
  Secret,
  type CallContext,
  type JsonObject,
  type PresentedIdentity,
} from "@mayfly/spec";
import { INVOICE_BOT, proofOf, type FakeWorld } from "./fake-world.ts";

interface AgentRequest {
  readonly subject:
    | { readonly kind: "identity"; readonly presented: PresentedIdentity }
    | { readonly kind: "task_token"; readonly token: Secret };
  readonly actor: PresentedIdentity | null;
  readonly details: unknown;
  readonly idempotency: { readonly key: string; readonly bodySha256: string } | null;
}

export interface OpenOptions {
  readonly subject?: string;
  readonly presented?: PresentedIdentity;
  readonly actor?: PresentedIdentity;
  /** An Idempotency-Key; the body's digest follows the details unless `body` says otherwise. */
  readonly key?: string;
  readonly body?: string;
}

/** Exchanges as agents make them: a task of 15 minutes for `orders-db/reader`, unless told. */
export function createFakeAgent<Reply>(
  world: FakeWorld,
  core: { exchange(request: AgentRequest, context: CallContext): Promise<Reply> },
) {
  const send = (
    subject: AgentRequest["subject"],
    details: JsonObject,
    options: Pick<OpenOptions, "actor" | "key" | "body">,
  ): Promise<Reply> => {
    const { key, body = JSON.stringify(details) } = options;
    const request: AgentRequest = {
      subject,
      actor: options.actor ?? null,
      details: { type: "mayfly-task", ...details },
      idempotency: key === undefined ? null : { key, bodySha256: body },
    };
    return core.exchange(request, world.context());
  };
  const identity = (options: OpenOptions): AgentRequest["subject"] => {
    const { presented, subject = INVOICE_BOT } = options;
    return { kind: "identity", presented: presented ?? proofOf(world.clock, subject) };
  };
  const opening = (details: JsonObject): JsonObject => ({
    goal: "Reconcile the October invoices",
    deadline: "15m",
    credentials: [{ role: "orders-db/reader" }],
    ...details,
  });
  return {
    /** Opens a task with a fresh proof of identity. */
    open: (details: JsonObject = {}, options: OpenOptions = {}): Promise<Reply> =>
      send(identity(options), opening(details), options),
    /** Draws on a task with a fresh proof of identity. */
    prove: (details: JsonObject, options: OpenOptions = {}): Promise<Reply> =>
      send(identity(options), details, options),
    /** Draws on a task, or opens a child, with a task token. */
    under: (token: Secret, details: JsonObject, options: OpenOptions = {}): Promise<Reply> =>
      send({ kind: "task_token", token }, details, options),
    /** Opens a child with its parent's task token. */
    child: (
      parent: { readonly taskToken: Secret; readonly task: { readonly id: string } },
      details: JsonObject = {},
      options: OpenOptions = {},
    ): Promise<Reply> =>
      send(
        { kind: "task_token", token: parent.taskToken },
        opening({ parent: parent.task.id, ...details }),
        options,
      ),
  };
}

/** What a credential of the fake backend logs in with. */
export function loginOf(credential: { readonly material: Readonly<Record<string, unknown>> }): {
  readonly username: string;
  readonly password: Secret;
} {
  const { username, password } = credential.material;
  if (typeof username === "string" && password instanceof Secret) return { username, password };
  throw new Error("not a credential of the fake backend");
}

/** The BrokerError that a promise rejects with; throws when it does not. */
export async function refusalOf(promise: Promise<unknown>): Promise<BrokerError> {
  const outcome = await promise.then(
    () => ({ resolved: true, error: null }),
    (error: unknown) => ({ resolved: false, error }),
  );
  if (outcome.resolved) throw new Error("expected a refusal, and it succeeded");
  const { error } = outcome;
  if (BrokerError.is(error)) return error;
  throw new Error("expected a BrokerError", { cause: error });
}
