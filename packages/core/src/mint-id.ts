import { v7 } from "uuid";
import { idFromUuid, type Clock, type IdKind, type IdOf, type Random } from "@mayfly/spec";

/** A fresh id of injected time and randomness: 74 random bits (RFC 9562 section 5.7). */
export function mintId<K extends IdKind>(
  kind: K,
  world: { readonly clock: Clock; readonly random: Random },
): IdOf[K] {
  const random = world.random.bytes(16);
  return idFromUuid(kind, v7({ msecs: world.clock.now(), random }));
}
