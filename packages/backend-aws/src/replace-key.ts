import { BackendError, Secret, durationSeconds, type CallContext } from "@mayfly/spec";
import type { UserKeys } from "./account-settings.ts";
import { AwsFailure } from "./aws-failure.ts";
import type { Lane } from "./lane.ts";
import { LoginChoice, eachKey, isUnknownKey } from "./login-choice.ts";
import type { ListedKey, UserApi } from "./user-api.ts";

/** Between the clock of who began and AWS's. */
const SKEW_MS = 60_000;
/** So long another call that made a key may take to register it. */
const KEPT_WITHIN_MS = 60_000;
/** What AWS knows of keys spreads in seconds. */
const LOOK_MS = 1_000;
const LOOKS_MAX = 20;
/** Each may be answered by another machine of AWS's. */
const LOOKS_IN_A_ROW = 3;

/**
 * A second access key of the broker's user, which AWS tells once. A key whose secret was lost on
 * the way, as the process that asked for it died, is deleted first: it was made since the rotation
 * began, and nobody has ever used it. Any other second key is somebody else's, and left alone.
 */
export const obtainKey = (lane: Lane, context: CallContext): Promise<Secret | null> =>
  asUser(lane, async (users) => {
    const { keys, previous } = underWay(lane);
    const known = [keys.access_key_id, previous.access_key_id];
    const user = new LoginChoice(users);
    const listed = await user.use((each) => each.listKeys(context));
    const isObtained = keys.access_key_id !== previous.access_key_id;
    if (isObtained && listed.some(({ id }) => id === keys.access_key_id)) return null;
    for (const key of listed.filter(({ id }) => !known.includes(id))) {
      await user.use((each) => deleteLost(lane, each, key, context));
    }
    const made = await user.use((each) => each.createKey(context));
    return Secret.of(JSON.stringify(made));
  });

async function deleteLost(
  lane: Lane,
  user: UserApi,
  { id, createdAt }: ListedKey,
  context: CallContext,
): Promise<void> {
  const beganAt = Date.parse(underWay(lane).previous.rotation_began_at);
  const madeAt = createdAt?.getTime() ?? 0;
  const isOfRotation = madeAt >= beganAt - SKEW_MS && !(await user.wasUsed(id, context));
  if (!isOfRotation) {
    throw new BackendError(
      `AWS, obtain a secret: the broker's user has another access key, ${id}, that is not this ` +
        "backend's, and AWS allows two; delete it at AWS if nobody needs it, then rotate again",
      { effect: "none", retry: { kind: "never" } },
    );
  }
  if (madeAt > lane.host.clock.now() - KEPT_WITHIN_MS) {
    throw new BackendError(
      `AWS, obtain a secret: the access key ${id} was made a moment ago, perhaps by a rotation ` +
        "that is still under way; rotate again in two minutes",
      { effect: "none", retry: { kind: "after", seconds: durationSeconds(120) } },
    );
  }
  await deleteKey(user, id, context);
}

/**
 * Waits until AWS knows the new key, then deactivates the old one, deletes it, and waits until it
 * is refused. Until then whoever has both is let in by one of them at every moment.
 */
export const adoptKey = (lane: Lane, context: CallContext): Promise<void> =>
  asUser(lane, async ([user, before]) => {
    const { keys, previous } = underWay(lane);
    if (before === undefined || keys.access_key_id === previous.access_key_id) {
      throw new TypeError("there is no new key to adopt");
    }
    const isKnown = await sawInARow(lane, context, async () => isAccepted(user, context));
    if (!isKnown) throw notYet("does not know the new access key everywhere");
    const listed = await user.listKeys(context);
    const old = listed.find(({ id }) => id === previous.access_key_id);
    if (old?.isActive === true) await user.deactivateKey(old.id, context);
    if (old !== undefined) await deleteKey(user, old.id, context);
    const isGone = await sawInARow(lane, context, async () => !(await isAccepted(before, context)));
    if (!isGone) throw notYet("still accepts the old access key, which was deleted");
  });

const notYet = (what: string): BackendError =>
  new BackendError(`AWS, adopt a secret: it ${what}; rotate again in a minute, which goes on`, {
    effect: "unknown",
    retry: { kind: "after", seconds: durationSeconds(60) },
  });

async function isAccepted(user: UserApi, context: CallContext): Promise<boolean> {
  try {
    await user.prove(context);
    return true;
  } catch (thrown) {
    if (isUnknownKey(thrown)) return false;
    throw thrown;
  }
}

async function sawInARow(
  { host: { clock } }: Lane,
  { signal }: CallContext,
  look: () => Promise<boolean>,
): Promise<boolean> {
  let inARow = 0;
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    if (looks > 0) await clock.sleep(LOOK_MS, signal);
    inARow = (await look()) ? inARow + 1 : 0;
    if (inARow === LOOKS_IN_A_ROW) return true;
  }
  return false;
}

/** Idempotent: a deleted one is what was wanted. */
async function deleteKey(user: UserApi, id: string, context: CallContext): Promise<void> {
  try {
    await user.deleteKey(id, context);
  } catch (thrown) {
    if (!(thrown instanceof AwsFailure) || thrown.code !== "NoSuchEntity") throw thrown;
  }
}

interface UnderWay {
  readonly keys: UserKeys;
  readonly previous: NonNullable<UserKeys["previous"]>;
}

function underWay({ settings: { credentials } }: Lane): UnderWay {
  if (credentials.kind !== "keys" || credentials.previous === undefined) {
    throw new TypeError("no rotation of a user's keys is under way");
  }
  return { keys: credentials, previous: credentials.previous };
}

/** By each of the keys alone, the one that is to stay first. */
async function asUser<T>(
  lane: Lane,
  work: (users: readonly [UserApi, ...UserApi[]]) => Promise<T>,
): Promise<T> {
  // As for the rest of the API: the SDK takes time to load.
  const { createUserApi } = await import("./user-api.ts");
  const { settings, transports } = lane;
  const [first, ...others] = eachKey(underWay(lane).keys).map((keys) =>
    createUserApi(settings, transports, keys),
  );
  if (first === undefined) throw new TypeError("a configuration with keys has one");
  try {
    return await work([first, ...others]);
  } catch (thrown) {
    throw thrown instanceof AwsFailure && thrown.code === "AccessDenied" ? rightMissing() : thrown;
  } finally {
    for (const user of [first, ...others]) user.close();
  }
}

/** IAM's own words name the user and the action, but to those who rotate alone. */
const rightMissing = (): BackendError =>
  new BackendError(
    "AWS: the broker's user may not replace its own access keys: allow it iam:ListAccessKeys, " +
      "iam:GetAccessKeyLastUsed, iam:CreateAccessKey, iam:UpdateAccessKey and " +
      "iam:DeleteAccessKey on itself, then rotate again",
    { effect: "none", retry: { kind: "never" } },
  );
