import { createHash } from "node:crypto";
import { BackendError, type CallContext } from "@mayfly/spec";
import { onEveryNode, unlessMissed, type Lane } from "./members.ts";
import { NodeLink } from "./node-link.ts";
import { wholeDeadline } from "./revoke.ts";

/**
 * Gives the broker's own user the configuration's password on every server, as a hash, and logs in
 * by it alone. A server without an ACL file would forget it when it starts again, so nothing is
 * changed where there is one.
 */
export async function adoptPassword(lane: Lane, context: CallContext): Promise<void> {
  const { settings, host } = lane;
  const deadline = wholeDeadline(lane, context);
  const saved = unlessMissed(
    await onEveryNode(lane, deadline, async (node) => (await node.saves.run("")) === true),
  );
  const forgetful = saved.find(({ result }) => !result);
  if (forgetful !== undefined) {
    const { place } = forgetful.node;
    throw new BackendError(`Redis, adopt a secret: ${place} has no ACL file to keep it in`, {
      effect: "none",
      retry: { kind: "never" },
    });
  }
  const hash = createHash("sha256").update(settings.password).digest("hex");
  const command = ["ACL", "SETUSER", settings.username, "resetpass", `#${hash}`] as const;
  const { previous_password: _, ...alone } = settings;
  unlessMissed(
    await onEveryNode(lane, deadline, async (node) => {
      await node.work.ask([...command], deadline);
      await node.saves.run("");
      const link = { settings: alone, place: node.at, clock: host.clock, ageMsMax: null };
      const proof = new NodeLink({ ...link, name: "mayfly-proof" });
      try {
        await proof.ask(["CLIENT", "SETNAME", "mayfly-proof"], deadline);
      } finally {
        proof.close();
      }
    }),
  );
}
