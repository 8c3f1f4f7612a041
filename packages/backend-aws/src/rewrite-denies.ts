import { durationSeconds, plusSeconds, type CallContext, type PlaceTurn } from "@mayfly/spec";
import { AwsFailure, failures } from "./aws-failure.ts";
import { propagationSeconds } from "./account-settings.ts";
import {
  charactersOf,
  readDocument,
  turnAfter,
  writeDocument,
  type DenyDocument,
} from "./deny-document.ts";
import { afterlifeSeconds, SKEW_SECONDS } from "./issue.ts";
import type { Lane } from "./lane.ts";
import { lookAtDenies, policyText, type DenyLook } from "./look-at-denies.ts";
import { planRewrite, type RewriteStep } from "./rewrite-plan.ts";

/** How long we wait for another process's turn to end. */
const PATIENCE_MS = 20_000;
const PAUSE_MS = 100;
/** The longest session that AWS gives: what somebody denied lives no longer. */
const SESSION_SECONDS_MAX = 43_200;
const READS_MAX = 6;
const READ_PAUSE_MS = 250;

/**
 * Makes the inline policies of one IAM role deny the sessions that the ledger says have ended and
 * have not expired, and nobody else's. `PutRolePolicy` replaces a whole document and compares
 * nothing, so writers take turns by the ledger, and no document is ever written twice: each is
 * named by the turn that wrote it. Rejects with {@link AwsFailure} or a BackendError.
 */
export async function rewriteDenies(
  lane: Lane,
  place: string,
  context: CallContext,
): Promise<void> {
  const { names } = lane.host;
  const turn = await beginTurn(lane, place, context);
  try {
    await rewriteInTurn(lane, place, turn, context);
  } finally {
    // A turn that nobody ends is over by itself.
    await names.endTurn(place, turn.turn).catch(() => undefined);
  }
}

/** Long enough for one call and the look at its effect; held anew before each next one. */
const turnSeconds = ({ settings }: Lane) => durationSeconds(settings.call_seconds_max * 3);

async function beginTurn(lane: Lane, place: string, context: CallContext): Promise<PlaceTurn> {
  const { clock } = context;
  const byMs = clock.monotonicMs() + PATIENCE_MS;
  for (;;) {
    const turn = await lane.host.names.beginTurn(place, turnSeconds(lane));
    if (turn !== null) return turn;
    if (clock.monotonicMs() > byMs) {
      throw failures.unfinished(
        `${place}: another process of this installation writes its denies`,
        2,
      );
    }
    await clock.sleep(PAUSE_MS, context.signal);
  }
}

async function rewriteInTurn(
  lane: Lane,
  place: string,
  turn: PlaceTurn,
  context: CallContext,
): Promise<void> {
  const look = await lookAtDenies(lane, place, context);
  if (look.isMissing) throw failures.unfinished(`${place}: there is no such IAM role`, 30);
  const denied = new Set(await deniedNames(lane, place, turn, look));
  const { steps, isFull } = planRewrite({
    documents: look.documents,
    denied,
    room: look.room,
    charactersOf: (count) => (count === 0 ? 0 : charactersOfMany(lane, count)),
    isSettled: (document) => isSettled(lane, document),
  });
  const standing = new Set(look.documents.flatMap((each) => each.names));
  // One that somebody took away counts anew: between, it was no deny.
  const gone = turn.refused.filter((each) => each.seenForSeconds !== null && each.leftSeconds > 0);
  const missing = gone.map(({ name }) => name).filter((name) => !standing.has(name));
  if (missing.length > 0) await lane.host.names.sawRefused([], missing);
  const writer = { turn: turn.turn, documents: turnAfter(turn.turn, look.documents) };
  for (const step of steps) await doStep(lane, place, writer, step, context);
  const after = steps.length === 0 ? look : await lookAtDenies(lane, place, context);
  const seen = new Set(after.documents.flatMap(({ names }) => names));
  const unseen = [...denied].filter((name) => !seen.has(name));
  await lane.host.names.sawRefused(
    [...denied].filter((name) => seen.has(name)),
    unseen,
  );
  if (isFull) throw full(place, denied.size);
  if (unseen.length > 0)
    throw failures.unfinished(`${place}: a deny that was written is not there yet`, 1);
}

/** By our own clock, which others of this installation may read a little apart. */
const isSettled = ({ settings, host }: Lane, { writtenAt }: DenyDocument): boolean =>
  writtenAt !== null &&
  host.clock.now() - writtenAt > (propagationSeconds(settings) + SKEW_SECONDS) * 1_000;

const full = (place: string, denied: number) =>
  failures.unfinished(
    `${place}: its inline policies have no room for the denies of ${denied} ended sessions; take ` +
      "other inline policies away, or make them managed ones",
    30,
  );

const charactersOfMany = ({ host }: Lane, count: number): number => {
  const name = `mf_${host.installation}${"x".repeat(21)}`;
  return writeDocument(
    host,
    0,
    Array.from({ length: count }, () => name),
  ).document.characters;
};

/**
 * By the ledger, and by what stands there: a deny that the ledger does not know (it was restored
 * from before, say) is one that it has lost, and is kept for as long as a session can live.
 */
async function deniedNames(
  lane: Lane,
  place: string,
  { refused }: PlaceTurn,
  { documents }: DenyLook,
): Promise<readonly string[]> {
  const { names, clock } = lane.host;
  const keptSeconds = SESSION_SECONDS_MAX + afterlifeSeconds(lane);
  const known = new Set(refused.map(({ name }) => name));
  const standing = new Set(documents.flatMap((each) => each.names));
  const strange: string[] = [];
  for (const name of standing) {
    // One that was over long ago is known to the ledger, and only not told by it.
    if (known.has(name) || (await names.find(name)) !== null) continue;
    strange.push(name);
    await names.refuse(name, place, plusSeconds(clock.now(), keptSeconds));
  }
  // One that recovery alone holds was over when it was refused, and has no session.
  const denied = refused.filter(({ leftSeconds }) => leftSeconds > 0);
  return [...denied.map(({ name }) => name), ...strange];
}

interface Writer {
  /** As the ledger counts. */
  readonly turn: number;
  /** Of what is written. */
  readonly documents: number;
}

async function doStep(
  lane: Lane,
  place: string,
  writer: Writer,
  step: RewriteStep,
  context: CallContext,
): Promise<void> {
  const { host } = lane;
  const aws = await lane.api();
  // Before the first that is deleted: whoever looks meanwhile waits anew.
  if (step.unsettled.length > 0) await host.names.sawRefused([], step.unsettled);
  const held = async (): Promise<() => void> => {
    const seconds = turnSeconds(lane);
    const untilMs = context.clock.monotonicMs() + seconds * 1_000;
    if (!(await host.names.holdTurn(place, writer.turn, seconds))) throw lost(place);
    // At the last moment before it is sent: this process may have been frozen since.
    return () => {
      if (context.clock.monotonicMs() > untilMs) throw lost(place);
    };
  };
  if (step.write.length > 0) {
    const { document, text } = writeDocument(host, writer.documents, step.write);
    const { policyName: PolicyName } = document;
    const put = { RoleName: place, PolicyName, PolicyDocument: text };
    await aws.putRolePolicy(put, context, await held());
    await untilRead(lane, place, document.policyName, text, context);
  }
  for (const policyName of step.remove) {
    const at = { RoleName: place, PolicyName: policyName };
    await aws.deleteRolePolicy(at, context, await held()).catch((thrown: unknown) => {
      if (!(thrown instanceof AwsFailure) || thrown.code !== "NoSuchEntity") throw thrown;
    });
  }
}

const lost = (place: string) =>
  failures.unfinished(`${place}: this process lost its turn to write the role's denies`, 1);

/** IAM answers reads from copies: what was written may take a moment to be there. */
async function untilRead(
  lane: Lane,
  place: string,
  policyName: string,
  text: string,
  context: CallContext,
): Promise<void> {
  for (let reads = 0; reads < READS_MAX; reads++) {
    if (reads > 0) await context.clock.sleep(READ_PAUSE_MS, context.signal);
    const read = await policyText(lane, place, policyName, context);
    if (read !== null && readDocument(lane.host, policyName, read).names.length > 0) {
      if (charactersOf(read) === charactersOf(text)) return;
    }
  }
  throw failures.unfinished(`${place}: a deny that was written is not read back yet`, 2);
}
