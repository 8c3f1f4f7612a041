import type { CallContext } from "@mayfly/spec";
import { deadlineIn } from "./call-deadline.ts";
import { Endpoint } from "./endpoint.ts";
import type { Lane } from "./lane.ts";
import { quoteLiteral } from "./quote.ts";
import { scramVerifier } from "./scram-verifier.ts";

/** Of a password that is a secret of 256 bits; drivers refuse fewer (RFC 7677). */
const ITERATIONS = 4_096;
const SALT_BYTES = 16;

/**
 * Gives the broker's own role the password of the configuration, as a verifier, so that no log of
 * the server has it, and then logs in by it alone.
 */
export async function adoptPassword(
  { work, host, settings }: Lane,
  context: CallContext,
): Promise<void> {
  const deadline = deadlineIn(context, settings.call_seconds_max * 1_000);
  const verifier = await scramVerifier({
    password: settings.password,
    salt: host.random.bytes(SALT_BYTES),
    iterations: ITERATIONS,
  });
  await work.run(`ALTER ROLE CURRENT_USER PASSWORD ${quoteLiteral(verifier)}`, deadline);
  const { previous_password: _, ...alone } = settings;
  const proof = new Endpoint({
    settings: alone,
    clock: host.clock,
    host: settings.host,
    port: settings.port,
    database: settings.database,
    slots: 1,
  });
  try {
    await proof.run("SELECT 1", deadline);
  } finally {
    await proof.close();
  }
}
