import {
  instantMs,
  parseId,
  type CallContext,
  type CheckProblem,
  type JsonObject,
  type LeaseId,
  type SelfCheck,
} from "@mayfly/spec";
import { utc, mint, writeMark } from "./lease.ts";
import { ask, type Minter } from "./minter.ts";
import { MinterFailure } from "./minter-failure.ts";
import type { RequestOf } from "./minter-protocol.ts";
import { leases } from "./role-settings.ts";

/**
 * Asks the minter what it is, and then has it keep what this type promises of it, with a credential
 * of the first role: minted, seen to live, listed, ended, seen to be refused, and its name never
 * used again; and a mint past its deadline declined.
 */
export async function selfCheck(
  minter: Minter,
  roles: readonly JsonObject[],
  context: CallContext,
): Promise<SelfCheck> {
  const sentAt = context.clock.now();
  const told = await ask(minter, "describe", {}, context);
  const midway = (sentAt + context.clock.now()) / 2;
  const [role] = roles;
  const isTried = role !== undefined && minter.settings.trial_mint;
  return {
    upstreamIdentity: told.identity,
    clockSkewMs: Math.round(Date.parse(told.now) - midway),
    facts: {
      protocol: told.protocol,
      issuer: minter.host.tokens.issuer,
      audience: minter.settings.audience ?? minter.settings.url,
      public_key: JSON.parse(JSON.stringify(await minter.signer.publicJwk())) as JsonObject,
      trial: isTried ? "minted and ended" : "not tried",
    },
    problems: [...told.problems, ...(isTried ? await tryMint(minter, role, context) : [])],
  };
}

const TRIAL_MS = 60_000;
/** Further pages of a long list would only cost time. */
const PAGES_MAX = 10;

const problem = (code: string, what: string, fix: string): CheckProblem => ({ code, what, fix });
const PROBLEMS = {
  minted: (why: string) =>
    problem(
      "trial_not_minted",
      `The minter made no credential of the role for a trial: ${why}.`,
      "Look at the minter's log; set trial_mint: false where a trial is not wanted.",
    ),
  accepted: problem(
    "trial_not_accepted",
    "Of a credential that was just made, the minter's probe says that it is refused.",
    "Let the probe look at the credential itself, so that it can tell both cases.",
  ),
  listed: problem(
    "trial_not_listed",
    "A credential that was just made is not in the minter's listing, with its name and mark.",
    "List everything that the minter made and did not end, so that what is lost is found.",
  ),
  ended: problem(
    "trial_not_ended",
    "Of a credential that the minter ended, its probe does not say that it is refused.",
    "Answer `ended` only once the credential is refused; `pending` until then.",
  ),
  reused: problem(
    "trial_name_reused",
    "The minter made a second credential under a name that was ended.",
    "Keep the names of what was ended, and answer name_taken.",
  ),
  late: problem(
    "trial_minted_late",
    "The minter made a credential after the deadline that the request named.",
    "Compare `deadline` with the clock when it is made, and decline with effect none.",
  ),
} as const;

/** Whatever is seen to be wrong, nothing of the trial is to stay. */
async function tryMint(
  minter: Minter,
  role: JsonObject,
  context: CallContext,
): Promise<readonly CheckProblem[]> {
  const { host } = minter;
  const first = trialRequest(minter, role, context);
  const problems: CheckProblem[] = [];
  const { name } = first;
  try {
    const { id } = await mint(minter, first, context);
    const lease = { name, id };
    const lives = await ask(minter, "probe", lease, context);
    if (lives.result !== "accepted") problems.push(PROBLEMS.accepted);
    if (!(await isListed(minter, name, context))) problems.push(PROBLEMS.listed);
    const { result } = await ask(minter, "revoke", lease, context);
    const after = await ask(minter, "probe", lease, context);
    if (result === "ended" && after.result !== "refused") problems.push(PROBLEMS.ended);
  } catch (thrown) {
    await clean(minter, name, context);
    if (!(thrown instanceof MinterFailure)) throw thrown;
    if (thrown.kind === "not_sent") throw thrown;
    return [...problems, PROBLEMS.minted(thrown.message)];
  }
  if (await isMinted(minter, first, context)) problems.push(PROBLEMS.reused);
  const past = utc(instantMs(host.clock.now() - TRIAL_MS));
  const late = { ...trialRequest(minter, role, context), deadline: past };
  if (await isMinted(minter, late, context)) problems.push(PROBLEMS.late);
  return problems;
}

function trialRequest(
  { host }: Minter,
  role: JsonObject,
  { clock }: CallContext,
): RequestOf<"issue"> {
  const expiresAt = instantMs(clock.now() + TRIAL_MS);
  const plan = leases.plan({
    installation: host.installation,
    leaseId: trialId(host.random.bytes(16)),
    expiresAt,
    role,
    params: {},
    holder: { subject: "mayfly", actors: [], confirmation: null },
  });
  const { externalName: name } = plan;
  return {
    name,
    mark: writeMark({ kind: "tombstone", at: clock.now() }, name, host),
    grant: leases.grantOf(plan),
    expires_at: utc(expiresAt),
    deadline: utc(expiresAt),
  };
}

/** RFC 9562 section 5.7, with a random time, so that it is no lease's. */
function trialId(bytes: Uint8Array): LeaseId {
  const hex = Buffer.from(bytes).toString("hex");
  const text = `lease_${hex.slice(0, 12)}7${hex.slice(13, 16)}8${hex.slice(17)}`;
  return parseId("lease", text, "trial");
}

/** A second mint, which has to be declined; what it made nevertheless is ended. */
async function isMinted(
  minter: Minter,
  request: RequestOf<"issue">,
  context: CallContext,
): Promise<boolean> {
  try {
    const answer = await ask(minter, "issue", request, context);
    if (answer.result === "name_taken") return false;
    const { name } = request;
    await ask(minter, "revoke", { name, id: answer.id }, context);
    return true;
  } catch (thrown) {
    if (!(thrown instanceof MinterFailure) || thrown.kind !== "declined") {
      await clean(minter, request.name, context);
    }
    if (thrown instanceof MinterFailure) return false;
    throw thrown;
  }
}

async function isListed(minter: Minter, name: string, context: CallContext): Promise<boolean> {
  let after: string | null = null;
  for (let page = 0; page < PAGES_MAX; page++) {
    const answer: { items: readonly { name: string }[]; next: string | null } = await ask(
      minter,
      "list",
      { after },
      context,
    );
    if (answer.items.some((item) => item.name === name)) return true;
    if (answer.next === null) return false;
    after = answer.next;
  }
  return true;
}

/** As after a mint whose outcome nobody knows; what it does not reach, the listing finds later. */
async function clean(minter: Minter, name: string, context: CallContext): Promise<void> {
  try {
    await ask(minter, "recover", { name, quarantine_seconds: 0 }, context);
  } catch (thrown) {
    minter.host.log.warn("what a trial may have left is not gone yet", { name }, thrown);
  }
}
