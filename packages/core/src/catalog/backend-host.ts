import { durationSeconds, type BackendHost, type BackendId } from "@mayfly/spec";
import type { CorePorts } from "../ports.ts";

/** What an opened backend may touch, of this installation. */
export function backendHost(ports: CorePorts, id: BackendId): BackendHost {
  return {
    installation: ports.installation,
    clock: ports.clock,
    random: ports.random,
    log: ports.log.child({ backend: id }),
    tag: (text) => ports.sealer.tag(text),
    verifyTag: (text, tag) => ports.sealer.verifyTag(text, tag),
    quarantineSeconds: durationSeconds(ports.settings.quarantineSeconds),
  };
}
