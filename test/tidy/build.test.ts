import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "./repository.ts";

test("what is published of spec runs where no TypeScript does, and declares its types", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-build-"));
  try {
    const built = await run("tsc", ["-p", "packages/spec/tsconfig.build.json", "--outDir", folder]);
    expect(built.code, built.all).toBe(0);
    const files = await readdir(folder);
    expect(files).toEqual(expect.arrayContaining(["index.js", "index.d.ts"]));
    expect(files.filter((name) => /\.test\.|write-errors-page/.test(name))).toEqual([]);

    await writeFile(join(folder, "package.json"), `{ "type": "module" }`);
    const script = `import { ERROR_CODES } from "./index.js"; console.log(ERROR_CODES.denied.status);`;
    const args = ["--no-strip-types", "--input-type=module", "--eval", script];
    const ran = await run(process.execPath, args, { cwd: folder });
    expect(ran.output, ran.all).toBe("403\n");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
