import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { answerConfig, readConfigField, sentAnswer, USUAL_TYPES } from "@mayfly/cli";
import { BACKEND_TYPES } from "@mayfly/composition";
import type { JsonObject } from "@mayfly/spec";
import { arbitraryValue } from "./arbitrary-config.ts";
import { personWhoWants } from "./person-who-wants.ts";

const NOTHING = { kind: "below", list: false, members: new Map() } as const;

/** What the command would send, of answers by somebody who wants this. */
async function prompted(schema: JsonObject, wanted: JsonObject): Promise<unknown> {
  const files = new Map<string, string>();
  const { prompts } = personWhoWants(wanted, (path, text) => {
    files.set(path, text);
    return `FILE_${files.size}`;
  });
  const io = { environment: {}, readInput: () => Promise.reject(new Error("nothing is piped")) };
  const readFile = async (from: string): Promise<string> =>
    [...files.values()][Number(from.split("_")[1]) - 1] ?? "";
  const answering = { prompts, forFile: false, io, missing: [], readFrom: readFile };
  const answer = await answerConfig(readConfigField(schema), NOTHING, answering);
  expect(answering.missing).toEqual([]);
  return sentAnswer(answer);
}

describe.each(BACKEND_TYPES.map((type) => [type.type, type] as const))(
  "the questions about a backend of type %s",
  (_name, { configSchema }) => {
    test("lead whoever knows what they want to exactly that, whatever the schema allows", async () => {
      const field = readConfigField(configSchema);
      await fc.assert(
        fc.asyncProperty(arbitraryValue(field), async (wanted) => {
          expect(await prompted(configSchema, wanted as JsonObject)).toEqual(wanted);
        }),
        { numRuns: 40, seed: 20_261_130 },
      );
    });
  },
);

test("the types that completion offers are those that are installed", () => {
  expect(USUAL_TYPES).toEqual(BACKEND_TYPES.map(({ type }) => type));
});
