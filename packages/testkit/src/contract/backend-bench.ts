import { randomBytes } from "node:crypto";
import {
  BackendError,
  instantMs,
  parseId,
  plusSeconds,
  type PoolingHost,
  type CallContext,
  type CredentialBackend,
  type CredentialHolder,
  type IssueContext,
  type IssuePlan,
  type JsonObject,
  type LeaseId,
  type OpenBackend,
  type RecoverContext,
  type Recovered,
  type RevocationOperations,
  type Secret,
} from "@mayfly/spec";
import type { BackendContractSubject, ContractUpstream } from "./backend-contract-subject.ts";

const TASK_ID = parseId("task", "task_0190a0b0c0d070008000000000000001", "task");

/** For whom the suite's credentials are. */
export const CONTRACT_HOLDER: CredentialHolder = {
  subject: "spiffe://contract.test/agent",
  actors: [],
  confirmation: null,
};

export type Revoking = Extract<OpenBackend, RevocationOperations>;

/** A lease id that was never used: version 7 and variant bits set, the rest random. */
export function freshLeaseId(): LeaseId {
  const hex = randomBytes(16).toString("hex");
  return parseId(
    "lease",
    `lease_${hex.slice(0, 12)}7${hex.slice(13, 16)}8${hex.slice(17)}`,
    "leaseId",
  );
}

export function revoking(open: OpenBackend): Revoking {
  if (open.revocation === "none") throw new Error("this backend cannot revoke");
  return open;
}

/** What most tests of the suite begin with. */
export class BackendBench {
  readonly backend: CredentialBackend;
  readonly upstream: ContractUpstream;
  readonly host: PoolingHost;
  readonly open: OpenBackend;
  /** What `recover` told before it destroyed it. */
  readonly found: JsonObject[] = [];

  constructor(
    subject: Pick<BackendContractSubject, "backend">,
    upstream: ContractUpstream,
    installation?: string,
  ) {
    this.backend = subject.backend;
    this.upstream = upstream;
    this.host = upstream.host(installation);
    this.open = this.openAgain();
  }
  /** As a second process would. */
  openAgain(config: unknown = this.upstream.config): OpenBackend {
    return this.backend.open(this.backend.parseConfig(config), this.host);
  }
  plan(ttlSeconds = 60, leaseId = freshLeaseId()): IssuePlan {
    return this.backend.plan({
      installation: this.host.installation,
      leaseId,
      expiresAt: plusSeconds(this.upstream.clock.now(), ttlSeconds),
      role: this.backend.parseRole(this.upstream.role),
      params: this.backend.parseParams(this.upstream.params),
      holder: CONTRACT_HOLDER,
    });
  }
  call(signal: AbortSignal = new AbortController().signal): CallContext {
    return { clock: this.upstream.clock, signal, traceId: "contract" };
  }
  /** As the core would, whose lease could have been settled so long ago. */
  recoverCall(settledForSeconds = 0): RecoverContext {
    return {
      ...this.call(),
      settledForSeconds,
      found: async (looked) => {
        this.found.push(looked);
      },
    };
  }
  issueCall(
    options: { readonly seconds?: number; readonly signal?: AbortSignal } = {},
  ): IssueContext & { readonly checkpoints: Secret[] } {
    const checkpoints: Secret[] = [];
    return {
      ...this.call(options.signal),
      taskId: TASK_ID,
      issueBy: instantMs(this.upstream.clock.now() + (options.seconds ?? 10) * 1000),
      checkpoints,
      checkpoint: async (handle) => {
        checkpoints.push(handle);
      },
    };
  }
  /** Calls `recover` as the core does, until it is settled. */
  async recoverUntilSettled(
    plan: IssuePlan,
    checkpoint: Secret | null = null,
  ): Promise<Exclude<Recovered, { outcome: "wait" }>> {
    const since = this.upstream.clock.now();
    for (let calls = 0; calls < 20; calls++) {
      const settledForSeconds = (this.upstream.clock.now() - since) / 1000;
      const recovered = await this.open.recover(
        plan,
        checkpoint,
        this.recoverCall(settledForSeconds),
      );
      if (recovered.outcome !== "wait") return recovered;
      if (recovered.reason === "") throw new Error("recover waits and does not say why");
      await this.upstream.pass(recovered.seconds * 1000);
    }
    throw new Error("recover said `wait` 20 times");
  }
}

/** The {@link BackendError} that `work` fails with; anything else fails the test. */
export async function backendErrorOf(work: Promise<unknown>): Promise<BackendError> {
  const thrown: unknown = await work.then(
    () => new Error("it succeeded"),
    (error: unknown) => error,
  );
  if (BackendError.isBackendError(thrown)) return thrown;
  throw new Error("expected a BackendError", { cause: thrown });
}
