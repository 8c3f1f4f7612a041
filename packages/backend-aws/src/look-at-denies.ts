import type { CallContext } from "@mayfly/spec";
import { INLINE_CHARACTERS_MAX } from "./account-settings.ts";
import { AwsFailure } from "./aws-failure.ts";
import {
  charactersOf,
  isLeftByCheck,
  isOurs,
  readDocument,
  type DenyDocument,
} from "./deny-document.ts";
import type { Lane } from "./lane.ts";

/** What an IAM role's inline policies deny to sessions of ours, read at one time. */
export interface DenyLook {
  readonly documents: readonly DenyDocument[];
  /** Characters that the others leave us. */
  readonly room: number;
  /** What checks of this installation left: of the room, until the next one deletes it. */
  readonly leftByChecks: {
    readonly policyNames: readonly string[];
    readonly characters: number;
  };
  /** There is no such role, so it has no documents. */
  readonly isMissing: boolean;
}

/** Of 100 names each; a role cannot have more than fit into its characters. */
const PAGES_MAX = 10;
const READS_AT_ONCE = 4;

/** Rejects with {@link AwsFailure}. */
export async function lookAtDenies(
  lane: Lane,
  place: string,
  context: CallContext,
): Promise<DenyLook> {
  const names = await policyNames(lane, place, context);
  const documents: DenyDocument[] = [];
  const left = { policyNames: [] as string[], characters: 0 };
  if (names === null) return { documents, room: 0, leftByChecks: left, isMissing: true };
  let others = 0;
  for (let at = 0; at < names.length; at += READS_AT_ONCE) {
    const some = names.slice(at, at + READS_AT_ONCE);
    const read = await Promise.all(
      some.map(async (name) => ({ name, text: await policyText(lane, place, name, context) })),
    );
    for (const { name, text } of read) {
      if (text === null) continue;
      if (isOurs(lane.host, name)) documents.push(readDocument(lane.host, name, text));
      else others += charactersOf(text);
      if (!isLeftByCheck(lane.host, name, text)) continue;
      left.policyNames.push(name);
      left.characters += charactersOf(text);
    }
  }
  return {
    documents,
    room: INLINE_CHARACTERS_MAX - others,
    leftByChecks: left,
    isMissing: false,
  };
}

/** Null: there is no such role. */
async function policyNames(
  { api }: Lane,
  place: string,
  context: CallContext,
): Promise<readonly string[] | null> {
  const aws = await api();
  const names: string[] = [];
  let marker: string | undefined;
  for (let page = 0; page < PAGES_MAX; page++) {
    const from = marker === undefined ? {} : { Marker: marker };
    const answer = await aws
      .listRolePolicies({ RoleName: place, ...from }, context)
      .catch((thrown: unknown) => {
        if (thrown instanceof AwsFailure && thrown.code === "NoSuchEntity") return null;
        throw thrown;
      });
    if (answer === null) return null;
    // An answer without a list would be taken for a role without denies.
    if (answer.PolicyNames === undefined) throw new AwsFailure("lost", "the answer has no list");
    names.push(...answer.PolicyNames);
    if (answer.IsTruncated !== true) return names;
    marker = answer.Marker;
  }
  throw new AwsFailure("lost", "the list of inline policies does not end");
}

/** Null: it was deleted meanwhile. */
export async function policyText(
  { api }: Lane,
  place: string,
  policyName: string,
  context: CallContext,
): Promise<string | null> {
  const aws = await api();
  try {
    const answer = await aws.getRolePolicy({ RoleName: place, PolicyName: policyName }, context);
    if (answer.PolicyDocument === undefined) {
      throw new AwsFailure("lost", "the answer has no document");
    }
    // As RFC 3986 encodes it: API_GetRolePolicy, `PolicyDocument`.
    return decodeURIComponent(answer.PolicyDocument);
  } catch (thrown) {
    if (thrown instanceof AwsFailure && thrown.code === "NoSuchEntity") return null;
    if (thrown instanceof URIError) throw new AwsFailure("lost", "the document is not encoded");
    throw thrown;
  }
}
