import { z } from "zod";

const NAME = /^[a-z][a-z0-9_]{0,63}$/;
const name = z.string().regex(NAME, "expected a name: lowercase letters, digits, _");

export const secretSettings = z
  .strictObject({
    secret: z
      .string()
      .min(1)
      .max(16_384)
      .meta({ writeOnly: true })
      .describe("What is handed out, as it stands."),
    secret_name: name.default("secret").describe("The name that agents get it under."),
    public: z
      .record(name, z.union([z.string().max(1_024), z.number(), z.boolean()]))
      .refine((members) => Object.keys(members).length <= 16, {
        message: "expected at most 16 members",
      })
      .default({})
      .describe("What agents are told beside it, such as a host or a user name."),
  })
  .refine((settings) => !Object.hasOwn(settings.public, settings.secret_name), {
    message: "a public member has the name of the secret",
    path: ["public"],
  });
export type SecretSettings = z.infer<typeof secretSettings>;
