import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { readCompose } from "./compose-file.ts";

const run = promisify(execFile);
const UNITS = fileURLToPath(new URL("../../infra/systemd/", import.meta.url));
const BIN = fileURLToPath(new URL("../../infra/image/bin/", import.meta.url));
const hasSystemd = await run("systemd-analyze", ["--version"]).then(
  () => true,
  () => false,
);

test("units and compose file start what the image has, and let it end by itself", async () => {
  const programs = await readdir(BIN);
  for (const name of await readdir(UNITS)) {
    const unit = await readFile(join(UNITS, name), "utf8");
    const [, program = ""] = /^ExecStart=\/opt\/mayfly\/bin\/(\S+)$/m.exec(unit) ?? [];
    expect(programs, name).toContain(program);
    expect(unit, name).toContain("RestartPreventExitStatus=78");
    expect(unit, name).toMatch(/^KillSignal=SIGTERM$/m);
  }
  const { services } = await readCompose();
  for (const name of ["broker", "worker", "migrate"]) {
    expect(programs, name).toContain(services[name]?.command?.[0]);
  }
});

test.skipIf(!hasSystemd)(
  "systemd finds nothing wrong in the units; a misspelt line is found",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "mayfly-units-"));
    try {
      const names = await readdir(UNITS);
      const verify = async (change: (unit: string) => string): Promise<string> => {
        for (const name of names) {
          // There is no /opt/mayfly here, and no such user.
          const unit = (await readFile(join(UNITS, name), "utf8"))
            .replace(/^ExecStart=.*$/m, "ExecStart=/bin/true")
            .replace(/^(User|Group)=.*$/gm, "");
          await writeFile(join(folder, name), change(unit));
        }
        const files = names.map((name) => join(folder, name.replace("@.", "@1.")));
        const verified = run("systemd-analyze", ["verify", "--man=no", ...files]);
        // It ends with a failure where it finds one, and says so on standard error.
        const said = await verified.then(({ stderr }) => stderr, String);
        return said
          .split("\n")
          .filter((line) => line.includes("mayfly-"))
          .join("\n");
      };
      expect(await verify((unit) => unit)).toBe("");
      expect(await verify((unit) => unit.replace("NoNewPrivileges", "NoNewPriviliges"))).toContain(
        "NoNewPriviliges",
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);
