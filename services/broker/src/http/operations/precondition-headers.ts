import { z } from "zod";

const tagHeader = z.string().max(2048);
/** RFC 9110 section 13.1. */
export const PRECONDITION = [
  {
    name: "If-Match",
    description: "The ETag of what the change was made from; 412 if it is another by now.",
    schema: tagHeader,
  },
  {
    name: "If-None-Match",
    description: "`*`: to create only.",
    schema: z.literal("*"),
  },
] as const;
