import { z } from "zod";

/** What `GET /v1/diagnosis` answers. */
export const diagnosisAnswer = z.strictObject({
  issuer: z.string().meta({ description: "The broker's public URL as it is set." }),
  now: z.iso.datetime().meta({ description: "The clock of the broker's machine." }),
  sweep_interval_seconds: z.number(),
  listing_interval_seconds: z.number(),
  unsafe_settings: z
    .array(z.string())
    .meta({ description: "Names of settings in force that weaken a guarantee." }),
});
