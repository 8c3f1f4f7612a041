import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

test("dev is that of the checkout: its words, and its way to end", async () => {
  const child = spawn(process.execPath, [MAIN, "dev", "--folder", "/dev/null/nowhere"], {
    env: { PATH: process.env["PATH"] ?? "" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let err = "";
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect(code).not.toBe(0);
  expect(err).toContain("/dev/null/nowhere");
});
