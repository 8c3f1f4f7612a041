import type { JsonObject, Random, SecretRotation } from "@mayfly/spec";
import type { z } from "zod";
import { ownSecret } from "./server-settings.ts";

/** 256 bits: nothing to guess, whichever way the upstream keeps it. */
const SECRET_BYTES = 32;

/** A member of a configuration whose `password` Mayfly can replace. */
export const previousPassword = (): z.ZodOptional<z.ZodString> =>
  ownSecret()
    .optional()
    .describe(
      "Written by `mayfly backend rotate` while it runs: whichever of both the server accepts is " +
        "used.",
    );

/** Of configurations with `password` and {@link previousPassword}. */
export const PASSWORD_ROTATION: SecretRotation & {
  begin(config: JsonObject, random: Random): JsonObject;
} = {
  madeBy: "mayfly",
  obstacle: () => null,
  isUnderWay: (config) => "previous_password" in config,
  begin: (config, random) => {
    const { password } = config;
    if ("previous_password" in config || password === undefined) return config;
    const next = Buffer.from(random.bytes(SECRET_BYTES)).toString("base64url");
    return { ...config, password: next, previous_password: password };
  },
  finish: (config): JsonObject => {
    const { previous_password: _, ...rest } = config;
    return rest;
  },
};
