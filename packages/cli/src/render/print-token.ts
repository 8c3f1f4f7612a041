import type { Secret } from "@mayfly/spec";
import type { Session } from "../session.ts";

/** With `-q` the token is all that is printed, so that it can be piped into a secret store. */
export function printToken(session: Session, token: Secret): void {
  session.note(
    "\nThe bootstrap administrator's token, shown this once; put it into your secret store:",
  );
  session.text(`${token.expose("print-once")}\n`);
}
