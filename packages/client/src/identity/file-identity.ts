import type { Surroundings } from "../surroundings.ts";
import { shortReason, SourceFailure, tokenIn, type IdentitySource } from "./identity-source.ts";

const VARIABLE = "MAYFLY_IDENTITY_FILE";

/** A file with one JWT, read anew for each proof, so that whoever rotates it is heeded. */
export function fileIdentity(path?: string): IdentitySource {
  return {
    kind: "file",
    whyNot: async (around) =>
      (path ?? around.variable(VARIABLE) ?? "") === "" ? `${VARIABLE} is not set` : null,
    prove: async (_audience, around) => {
      const from = path ?? around.variable(VARIABLE) ?? "";
      if (from === "") throw new SourceFailure(`${VARIABLE} is not set`);
      return readToken(from, around);
    },
  };
}

export async function readToken(path: string, around: Surroundings): Promise<string> {
  let text: string;
  try {
    text = await around.readFile(path);
  } catch (error) {
    throw new SourceFailure(`${path} cannot be read: ${shortReason(error)}`);
  }
  return tokenIn(text, path);
}
