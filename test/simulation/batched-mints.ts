import {
  MintBatcher,
  PgFailure,
  SQLSTATE,
  issueFailure,
  type Mint,
  type Minted,
  type SendBatch,
} from "@mayfly/backend-postgres/batched-mints";
import type { IssueContext } from "@mayfly/spec";
import {
  NameTaken,
  PastDeadline,
  type CreateRequest,
  type FakeCredential,
  type FakeUpstream,
} from "@mayfly/testkit";
import type { Machine, SimulatedProcess } from "./simulated-process.ts";

/** The backend that mints in batches, as PostgreSQL's does, through its real batcher. */
export const BATCHING = "session-db";

/** What a PostgreSQL server, or the way to it, does to a batch of mints. */
export const MINT_FAULTS = [
  "not sent",
  "refused whole",
  "deadlock",
  "tuple concurrently updated",
  "lost without effect",
  "lost with effect",
  "executed late",
] as const;
type MintFault = (typeof MINT_FAULTS)[number];

const PLACE = "mints";
/** A batch waits for a lock of another's no longer than its statement timeout. */
const LATE_MS_MAX = 3_000;

/**
 * Mints of one process through the real batcher, at a model of a PostgreSQL server: one transaction
 * for a batch, whose deadline the server itself tests before it works and before it commits.
 */
export function createBatchedMints(
  machine: Machine,
  process: SimulatedProcess,
  upstream: FakeUpstream,
): (request: CreateRequest, context: IssueContext) => Promise<FakeCredential> {
  const requests = new Map<string, CreateRequest>();
  const batcher = new MintBatcher(sender(machine, process, upstream, requests), process.clock, 1);
  return async (request, context) => {
    requests.set(request.name, request);
    try {
      const { oid } = await batcher.mint(mintOf(request), context.signal);
      return { ...request, id: oid, refusedFrom: null, sessions: 0 };
    } catch (failure) {
      throw issueFailure(failure);
    } finally {
      requests.delete(request.name);
    }
  };
}

const mintOf = ({ name, groups, expiresAt, issueBy }: CreateRequest): Mint => ({
  name,
  // Of the messages' text alone, which the model of the server has no use for.
  verifier: "",
  comment: "",
  grant: {
    member_of: [...groups],
    owner: null,
    connection_limit: 1,
    search_path: null,
    statement_timeout_seconds: null,
    read_only: false,
  },
  expiresAt,
  issueBy,
});

const sender =
  (
    machine: Machine,
    process: SimulatedProcess,
    upstream: FakeUpstream,
    requests: ReadonlyMap<string, CreateRequest>,
  ): SendBatch =>
  async (beforeSend, notAfter) => {
    const { draw, rates, strikes, away, clock } = machine;
    await process.pass(`${PLACE}, before`);
    const isOdd = draw.chance(rates.backend);
    const fault: MintFault | null = isOdd ? draw.of<MintFault>(MINT_FAULTS) : null;
    if (fault === "not sent" || away.has(upstream.identity)) {
      strikes.add(PLACE, fault === "not sent" ? fault : "away: not sent");
      throw new PgFailure("not_sent", "no connection");
    }
    const names = beforeSend().map(({ name }) => name);
    if (names.length === 0) return new Map();
    if (names.length > 1) strikes.add(PLACE, "a batch of several");
    if (fault !== null) strikes.add(PLACE, fault);
    // From here on it is on the wire: it happens, or does not, whatever becomes of the process.
    const sent = names.flatMap((name) => requests.get(name) ?? []);
    const delayMs = fault === "executed late" ? draw.between(1, LATE_MS_MAX) : draw.between(0, 3);
    const answer = clock
      .sleep(delayMs)
      .then(() => execute(upstream, sent, notAfter, clock.now(), fault));
    answer.catch(() => undefined);
    await process.pass(`${PLACE}, on the wire`);
    const minted = await answer;
    await process.pass(`${PLACE}, after`);
    return minted;
  };

/** One transaction, at the server. */
function execute(
  upstream: FakeUpstream,
  sent: readonly CreateRequest[],
  notAfter: number,
  now: number,
  fault: MintFault | null,
): ReadonlyMap<string, Minted> {
  if (fault === "refused whole") throw refused("53300");
  if (fault === "deadlock") throw refused(SQLSTATE.deadlock);
  if (fault === "tuple concurrently updated") throw refused(SQLSTATE.internal);
  if (fault === "lost without effect") throw new PgFailure("lost", "connection cut");
  if (now > notAfter) throw refused(SQLSTATE.pastDeadline);
  let made: readonly FakeCredential[];
  try {
    made = upstream.createAll(sent);
  } catch (refusal) {
    if (refusal instanceof NameTaken) throw refused(SQLSTATE.duplicateObject);
    if (refusal instanceof PastDeadline) throw refused(SQLSTATE.pastDeadline);
    throw refusal;
  }
  if (fault === "lost with effect") throw new PgFailure("lost", "connection cut");
  return new Map(made.map(({ name, id, expiresAt }) => [name, { oid: id, validUntil: expiresAt }]));
}

const refused = (sqlstate: string): PgFailure => new PgFailure("refused", "simulated", sqlstate);
