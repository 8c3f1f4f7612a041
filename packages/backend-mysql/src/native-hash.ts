import { createHash } from "node:crypto";

/** So that the password itself never reaches the server, its log or its history of statements. */
export const nativeHash = (password: string): string => {
  const once = createHash("sha1").update(password).digest();
  return `*${createHash("sha1").update(once).digest("hex").toUpperCase()}`;
};
