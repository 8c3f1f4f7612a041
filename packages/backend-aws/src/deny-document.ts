import { SHORT_LEASE_NAME_PATTERN } from "@mayfly/backend-kit";
import { instantMs, parseShallowJson, type BackendHost, type InstantMs } from "@mayfly/spec";
import { z } from "zod";
import type { AccountSettings } from "./account-settings.ts";

/**
 * An inline policy of an IAM role that denies everything to some of its sessions, by their names.
 * `aws:userid` of a session is the role's unique id, a colon, and the name of the session; the
 * policy stands on that role alone, so its own id need not be told.
 */
export interface DenyDocument {
  readonly policyName: string;
  /** Who wrote it: a later turn's document stands for all that it took over. */
  readonly turn: number;
  /** By the writer's clock, in whole seconds; null where somebody changed it. */
  readonly writtenAt: InstantMs | null;
  /** Sorted. */
  readonly names: readonly string[];
  /** Without whitespace, as AWS counts. */
  readonly characters: number;
}

/** Names of one document: some 2,000 characters. */
export const NAMES_MAX = 50;
/** Of a document without names. */
const FRAME_CHARACTERS = 170;
/** A name of 32 with `*:`, quotes and comma. */
const NAME_CHARACTERS = 37;
export const DOCUMENT_CHARACTERS_MAX = FRAME_CHARACTERS + NAMES_MAX * NAME_CHARACTERS;

/**
 * So many sessions of a role may be out at once that each can be denied: one document's room is
 * kept free to write the next before the last is deleted, and frames are counted twice, as
 * documents are not always full.
 */
export const sessionsMax = ({ deny_characters: characters }: AccountSettings): number =>
  Math.floor(
    (characters - DOCUMENT_CHARACTERS_MAX) / (NAME_CHARACTERS + (2 * FRAME_CHARACTERS) / NAMES_MAX),
  );

const textOf = (names: readonly string[]): string =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: {
      Sid: "MayflyEnded",
      Effect: "Deny",
      Action: "*",
      Resource: "*",
      Condition: { StringLike: { "aws:userid": names.map((name) => `*:${name}`) } },
    },
  });

const tagOf = (host: BackendHost): string => host.tag("deny documents").slice(0, 12);
const prefixOf = (host: BackendHost): string => `mayfly-deny.${host.installation}.${tagOf(host)}.`;

const CHECK = "mayfly-self-check.";
/**
 * What a check of the backend's rights writes and deletes: a deny that is for nobody, since no
 * lease has the name. It is the same each time, so that two checks at once undo nothing of each
 * other's, and what one left the next overwrites.
 */
export const checkDocument = (
  host: BackendHost,
): { readonly policyName: string; readonly text: string } => ({
  policyName: `${CHECK}${host.installation}.${tagOf(host)}`,
  text: textOf([nobody(host)]),
});
const nobody = ({ installation }: BackendHost): string => `mf_${installation}${"A".repeat(21)}`;

/** Whether it is what a check of this installation left: each had a name of its own once. */
export const isLeftByCheck = (host: BackendHost, policyName: string, text: string): boolean =>
  policyName.startsWith(CHECK) && namesIn(text)?.join() === nobody(host);

/** The time and the random part keep names apart where a restored ledger counts its turns again. */
export function writeDocument(
  host: BackendHost,
  turn: number,
  names: readonly string[],
): { readonly document: DenyDocument; readonly text: string } {
  const sorted = names.toSorted();
  const text = textOf(sorted);
  const seconds = Math.floor(host.clock.now() / 1_000);
  const time = seconds.toString(16).padStart(TIME_DIGITS, "0");
  const random = Buffer.from(host.random.bytes(4)).toString("hex");
  const policyName = `${prefixOf(host)}${turn}-${time}${random}`;
  const writtenAt = instantMs(seconds * 1_000);
  return {
    text,
    document: { policyName, turn, writtenAt, names: sorted, characters: text.length },
  };
}

/** Later than all that stand there, whatever the ledger counts: each takes over from these. */
export const turnAfter = (turn: number, documents: readonly DenyDocument[]): number =>
  Math.max(turn, ...documents.map((each) => each.turn + 1));

/** Of the seconds since 1970, until the year 2106. */
const TIME_DIGITS = 8;
const TURN = /^(\d{1,15})-([0-9a-f]{8})[0-9a-f]{8}$/;
const stored = z.object({
  Statement: z.object({
    Condition: z.object({ StringLike: z.object({ "aws:userid": z.array(z.string()) }) }),
  }),
});
const NAME = new RegExp(SHORT_LEASE_NAME_PATTERN);

/** Whether the policy is one of this backend's, whatever stands in it. */
export const isOurs = (host: BackendHost, policyName: string): boolean =>
  policyName.startsWith(prefixOf(host));

/**
 * One of ours as it stands there. One that was changed denies, for us, nobody: only what is, but
 * for whitespace, what we write is known to be understood by AWS as we mean it.
 */
export function readDocument(host: BackendHost, policyName: string, text: string): DenyDocument {
  const [, turn, time] = TURN.exec(policyName.slice(prefixOf(host).length)) ?? [];
  const names = namesIn(text);
  return {
    policyName,
    turn: names === null || turn === undefined ? -1 : Number(turn),
    writtenAt: names === null || time === undefined ? null : instantMs(parseInt(time, 16) * 1_000),
    names: names ?? [],
    characters: charactersOf(text),
  };
}

function namesIn(text: string): readonly string[] | null {
  try {
    const said = parseShallowJson(text);
    const parsed = stored.parse(said);
    const names = parsed.Statement.Condition.StringLike["aws:userid"].map((each) => each.slice(2));
    const isWhole =
      names.every((name) => NAME.test(name)) && textOf(names) === JSON.stringify(said);
    return isWhole ? names : null;
  } catch {
    return null;
  }
}

export const charactersOf = (text: string): number => text.replaceAll(/\s/g, "").length;
