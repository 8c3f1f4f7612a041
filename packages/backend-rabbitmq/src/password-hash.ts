import { createHash } from "node:crypto";
import type { Random } from "@mayfly/spec";

/** As RabbitMQ's own: https://www.rabbitmq.com/docs/passwords#computing-password-hash. */
const SALT_BYTES = 4;

/** What the server is given in the place of a password, for `rabbit_password_hashing_sha256`. */
export function passwordHash(password: string, random: Random): string {
  const salt = random.bytes(SALT_BYTES);
  const digest = createHash("sha256").update(salt).update(password, "utf8").digest();
  return Buffer.concat([salt, digest]).toString("base64");
}
