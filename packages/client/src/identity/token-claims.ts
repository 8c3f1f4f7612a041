import { fieldsOf, textIn, textsIn, type Fields } from "../read-answer.ts";

/** Who a token is for, as it says. Null where it cannot be read. */
export function audiencesOf(token: string): readonly string[] | null {
  const claims = claimsOf(token);
  if (claims === null) return null;
  const one = textIn(claims, "aud");
  return one === null ? textsIn(claims, "aud") : [one];
}

/** For how many whole seconds a token is expired; null where it is not, or does not say. */
export function secondsExpired(token: string, nowMs: number): number | null {
  const expires = claimsOf(token)?.["exp"];
  const seconds = typeof expires === "number" ? Math.floor(nowMs / 1_000 - expires) : 0;
  return seconds > 0 ? seconds : null;
}

/** Read to help, never to trust: only the broker verifies. */
function claimsOf(token: string): Fields | null {
  try {
    const part = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (char) => char.codePointAt(0) ?? 0);
    return fieldsOf(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return null;
  }
}
