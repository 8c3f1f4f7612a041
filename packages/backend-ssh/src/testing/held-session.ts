import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { HeldSession } from "@mayfly/testkit/contract";

/** A session that says back what it is told (`cat`), for as long as it lives. */
export async function heldSession(child: ChildProcess): Promise<HeldSession> {
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error("a session has two ends");
  const gone = once(child, "exit").then(() => false);
  stdin.on("error", () => undefined);
  return {
    alive: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return false;
      const heard = once(stdout, "data").then(() => true);
      stdin.write("still here\n");
      return Promise.race([heard, gone]);
    },
    close: async () => {
      stdin.end();
      await gone;
    },
  };
}
