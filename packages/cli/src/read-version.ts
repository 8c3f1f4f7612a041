import { z } from "zod";

/** The version in the text of a package.json. */
export const readVersion = (manifest: string): string =>
  z.object({ version: z.string() }).parse(JSON.parse(manifest)).version;
