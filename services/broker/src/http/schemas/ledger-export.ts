import { z } from "zod";
import { wholeNumber } from "../read-json.ts";

/** Of one answer: whoever wants more asks again, from where it ended. */
export const EXPORT_ENTRIES_MAX = 100_000;

/** What `routes/ledger-export.ts` reads. */
export const exportQuery = z.strictObject({
  from: wholeNumber(0, 999_999_999_999_999).optional(),
  limit: wholeNumber(1, EXPORT_ENTRIES_MAX).optional(),
});
