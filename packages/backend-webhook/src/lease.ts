import { listedMarks, waitMs, type LeaseMark } from "@mayfly/backend-kit";
import {
  Secret,
  instantMs,
  type BackendHost,
  type CallContext,
  type InstantMs,
  type IssueContext,
  type IssuePlan,
  type Issued,
  type MarkedPage,
  type Probe,
  type RecoverContext,
  type Recovered,
  type Revoked,
} from "@mayfly/spec";
import { z } from "zod";
import { ask, type Minter } from "./minter.ts";
import { failures, MinterFailure } from "./minter-failure.ts";
import type { AnswerOf, RequestOf } from "./minter-protocol.ts";
import { leases } from "./role-settings.ts";

const handle = z.strictObject({ v: z.literal(1), name: z.string(), id: z.string() });
type Handle = Omit<z.infer<typeof handle>, "v">;
const writeHandle = ({ name, id }: Handle): Secret => Secret.of(JSON.stringify({ v: 1, name, id }));
function readHandle(text: Secret): Handle {
  const { name, id } = handle.parse(JSON.parse(text.expose("upstream")));
  return { name, id };
}

/** A self-check's own credential is as a tombstone: young, it is nobody's orphan. */
export const writeMark = (mark: LeaseMark, name: string, host: BackendHost): string =>
  mark.kind === "lease"
    ? `lease:${host.tag(`webhook/1/lease/${name}`)}`
    : `trial:${mark.at}:${host.tag(`webhook/1/trial/${mark.at}/${name}`)}`;

function readMark(text: string, name: string, host: BackendHost): LeaseMark | null {
  const [, at, tag] = /^(?:lease|trial:(\d{1,15})):([0-9a-f]{64})$/.exec(text) ?? [];
  if (tag === undefined) return null;
  const mark: LeaseMark =
    at === undefined ? { kind: "lease" } : { kind: "tombstone", at: Number(at) };
  const facts = at === undefined ? "lease" : `trial/${at}`;
  return host.verifyTag(`webhook/1/${facts}/${name}`, tag) ? mark : null;
}

export const utc = (instant: InstantMs): string => new Date(instant).toISOString();

export async function issue(
  minter: Minter,
  plan: IssuePlan,
  context: IssueContext,
): Promise<Issued> {
  const { host } = minter;
  const name = plan.externalName;
  const answer = await mint(
    minter,
    {
      name,
      mark: writeMark({ kind: "lease" }, name, host),
      grant: leases.grantOf(plan),
      expires_at: utc(plan.expiresAt),
      deadline: utc(context.issueBy),
    },
    context,
    () => failures.refuseLate(context, "issue"),
  );
  return issuedOf(plan, answer);
}

type Minted = Extract<AnswerOf<"issue">, { result: "issued" }>;

export async function mint(
  minter: Minter,
  request: RequestOf<"issue">,
  context: CallContext,
  beforeSend?: () => void,
): Promise<Minted> {
  const answer = await ask(minter, "issue", request, context, beforeSend);
  if (answer.result === "name_taken") throw failures.nameTaken("a credential");
  return answer;
}

/** What the minter made is there, so what is wrong with its answer is for `recover` to undo. */
function issuedOf(plan: IssuePlan, { id, public: shown, secret, expires_at }: Minted): Issued {
  const [fingerprintOf = ""] = Object.keys(secret).toSorted();
  if (Object.keys(secret).some((member) => Object.hasOwn(shown, member))) {
    throw new MinterFailure("lost", "the minter calls one member public and secret");
  }
  const expiresAt = instantMs(Date.parse(expires_at));
  if (expiresAt > plan.expiresAt) {
    throw new MinterFailure("lost", "the minter's credential lives longer than was asked");
  }
  const secrets = Object.entries(secret).map(
    ([member, text]) => [member, Secret.of(text)] as const,
  );
  return {
    material: { ...shown, ...Object.fromEntries(secrets) },
    fingerprintOf,
    expiresAt,
    handle: writeHandle({ name: plan.externalName, id }),
  };
}

export async function revoke(
  minter: Minter,
  secret: Secret,
  context: CallContext,
): Promise<Revoked> {
  const { result } = await ask(minter, "revoke", readHandle(secret), context);
  if (result === "ended") return { outcome: "refused" };
  throw failures.unfinished("revoke: the minter says that the end is under way");
}

export async function probe(minter: Minter, secret: Secret, context: CallContext): Promise<Probe> {
  const { result, looked } = await ask(minter, "probe", readHandle(secret), context);
  return { verdict: result, looked };
}

/** What a minter may be late with the end of a quarantine. */
const WAIT_MARGIN_SECONDS = 60;

/**
 * The minter takes the name, so that a mint which comes later is refused. A quarantine is no longer
 * than ours: one that goes on is a failure, which is counted, so that somebody sees it.
 */
export async function recover(
  minter: Minter,
  { externalName: name }: IssuePlan,
  context: RecoverContext,
): Promise<Recovered> {
  const { quarantineSeconds } = minter.host;
  const request = { name, quarantine_seconds: Math.ceil(quarantineSeconds) };
  const answer = await ask(minter, "recover", request, context);
  if (answer.result === "wait") {
    const secondsMax = quarantineSeconds + WAIT_MARGIN_SECONDS;
    const seconds = Math.min(answer.seconds, secondsMax);
    if (context.settledForSeconds > secondsMax) {
      throw failures.unfinished("recover: the minter keeps the name past its quarantine", seconds);
    }
    return waitMs(seconds * 1_000, "the minter keeps the name for a while");
  }
  return { outcome: answer.result, looked: answer.looked };
}

export async function extend(
  minter: Minter,
  secret: Secret,
  expiresAt: InstantMs,
  context: IssueContext,
): Promise<InstantMs> {
  const request = {
    ...readHandle(secret),
    expires_at: utc(expiresAt),
    deadline: utc(context.issueBy),
  };
  const answer = await ask(minter, "renew", request, context, () =>
    failures.refuseLate(context, "renew"),
  );
  if (answer.result === "gone") throw failures.gone("the credential");
  const until = instantMs(Date.parse(answer.expires_at));
  if (until <= expiresAt) return until;
  throw new MinterFailure("lost", "the minter's credential lives longer than was asked");
}

export async function list(
  minter: Minter,
  after: string | null,
  context: CallContext,
): Promise<MarkedPage> {
  const { host } = minter;
  const { items, next } = await ask(minter, "list", { after }, context);
  const marked = items.flatMap(({ name, id, mark }) =>
    listedMarks(
      {
        externalName: name,
        mark: () => readMark(mark, name, host),
        handle: () => writeHandle({ name, id }),
      },
      host,
    ),
  );
  if (next !== null && next === after) {
    throw new MinterFailure("lost", "the minter's listing does not go on");
  }
  return { marked, next };
}
