import type { CallContext } from "@mayfly/spec";
import { userOf, userPath, type Lane } from "./lane.ts";
import { ManagementApi } from "./management-api.ts";
import { passwordHash } from "./password-hash.ts";
import { unfinished } from "./rabbit-failure.ts";

/** Gives the broker's own user the configuration's password, as a hash, and logs in by it alone. */
export async function adoptPassword(
  { work, host, settings }: Lane,
  context: CallContext,
): Promise<void> {
  const { previous_password: _, ...alone } = settings;
  const user = await userOf(work, settings.username, context);
  if (user === null) throw unfinished("adopt a secret: the broker's user comes from elsewhere");
  await work.call("PUT", userPath(settings.username), context, {
    body: {
      password_hash: passwordHash(settings.password, host.random),
      hashing_algorithm: "rabbit_password_hashing_sha256",
      tags: user.tags.join(","),
    },
  });
  const proof = new ManagementApi(alone, host, 1);
  try {
    await proof.call("GET", "/api/whoami", context);
  } finally {
    await proof.close();
  }
}
