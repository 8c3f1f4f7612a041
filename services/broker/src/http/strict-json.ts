import { visit, type ParseErrorCode } from "jsonc-parser";
import { BrokerError, type ErrorCode } from "@mayfly/spec";
import { shownName } from "./shown-name.ts";

const DEPTH_MAX = 8;

/**
 * JSON as RFC 8259 and I-JSON (RFC 7493) have it: no repeated member, no number that a double
 * cannot hold exactly as written, no lone surrogate, at most 8 levels deep. `JSON.parse` alone
 * takes the last of two equal members, which lets two readers of one text see two things.
 */
export function parseStrictJson(text: string, where: string, code: ErrorCode): unknown {
  const refuse = (what: string): never => {
    throw new BrokerError(code, `${where}: ${what}.`, { where });
  };
  if (!text.isWellFormed()) refuse("has an unpaired surrogate");
  checkTokens(text, refuse);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    refuse("is not JSON");
  }
  return value;
}

function checkTokens(text: string, refuse: (what: string) => never): void {
  const members: Set<string>[] = [];
  let depth = 0;
  const enter = (): void => {
    depth += 1;
    if (depth > DEPTH_MAX) refuse(`is nested more than ${DEPTH_MAX} deep`);
  };
  visit(
    text,
    {
      onObjectBegin: () => {
        enter();
        members.push(new Set());
      },
      onObjectEnd: () => {
        depth -= 1;
        members.pop();
      },
      onArrayBegin: enter,
      onArrayEnd: () => {
        depth -= 1;
      },
      onObjectProperty: (property) => {
        const seen = members.at(-1);
        // Copied into an object it sets that object's prototype, and is gone from its members.
        if (property === "__proto__")
          refuse("has a member __proto__, which none of ours is called");
        if (seen?.has(property) === true) refuse(`has the member ${shownName(property)} twice`);
        seen?.add(property);
        if (!property.isWellFormed()) refuse("has an unpaired surrogate");
      },
      onLiteralValue: (value: unknown) => {
        if (typeof value === "string" && !value.isWellFormed()) refuse("has an unpaired surrogate");
        if (typeof value === "number" && !fitsDouble(value)) {
          refuse("has a number out of range, or minus zero");
        }
      },
      onError: (_error: ParseErrorCode, offset) => refuse(`is not JSON (at character ${offset})`),
    },
    { disallowComments: true, allowTrailingComma: false, allowEmptyContent: false },
  );
}

const fitsDouble = (value: number): boolean =>
  Number.isFinite(value) &&
  Math.abs(value) <= Number.MAX_SAFE_INTEGER &&
  // Written again it is 0 (RFC 8785), so that what was judged would not be what is kept.
  !Object.is(value, -0);
