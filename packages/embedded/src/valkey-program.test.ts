import { expect, test } from "vitest";
import { EmbeddedError } from "./embedded-error.ts";
import { programOnPath } from "./program-on-path.ts";
import { requireOrExplain } from "./require-or-explain.ts";
import { valkeyProgram } from "./valkey-program.ts";

const path = process.env["PATH"];
const program = await requireOrExplain("valkey");
/** The machine's own is found without asking anybody. */
const isOwn = (await programOnPath("valkey-server", path)) !== undefined;

test.skipIf(program === undefined || isOwn)(
  "a machine that is too slow to say whether Valkey is there is told of, and leaves out no test",
  async () => {
    await expect(valkeyProgram(path, 1)).rejects.toThrow(EmbeddedError);
    expect(await valkeyProgram(path)).toBe(program);
  },
);
