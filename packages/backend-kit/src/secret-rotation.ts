import type { JsonObject, Random, RegisteredLogin, SecretRotation } from "@mayfly/spec";
import { z } from "zod";
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

const place = z.object({ host: z.string(), port: z.int() });
const login = z.object({
  username: z.string().optional(),
  password: z.string().optional(),
  previous_password: z.string().optional(),
  ...place.partial().shape,
  nodes: z.array(place).default([]),
});

/** Two databases of one server are two upstreams, and its users are the same in both. */
function loginIn({ config }: RegisteredLogin) {
  const {
    username,
    password,
    previous_password: previous,
    host,
    port,
    nodes,
  } = login.parse(config);
  const one = place.safeParse({ host, port });
  return {
    username,
    secrets: [password, previous].filter((secret) => secret !== undefined),
    places: [...nodes, ...(one.success ? [one.data] : [])].map((at) => `${at.host} ${at.port}`),
  };
}

/** Of configurations with `password` and {@link previousPassword}. */
export const PASSWORD_ROTATION: SecretRotation & {
  begin(config: JsonObject, random: Random): JsonObject;
} = {
  madeBy: "mayfly",
  obstacle: () => null,
  sharesLogin: (own, other) => {
    const [mine, others] = [loginIn(own), loginIn(other)];
    const isSameServer =
      own.upstreamIdentity === other.upstreamIdentity ||
      mine.places.some((place) => others.places.includes(place));
    const isSameSecret = mine.secrets.some((secret) => others.secrets.includes(secret));
    return isSameServer && isSameSecret && mine.username === others.username;
  },
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
