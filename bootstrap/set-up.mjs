import { basename, dirname, join } from "node:path";
import { symlink, mkdir, rename, rm } from "node:fs/promises";
import { withoutNpm, withPath } from "./environment.mjs";
import { ensurePackages } from "./packages.mjs";
import { runQuietly } from "./run-child.mjs";
import { megabytes, sizeOf } from "./size.mjs";
import { ensureTool, readPins } from "./tools.mjs";

const OWN_PNPM_TIMEOUT_MS = 10_000;

/**
 * Gets this checkout ready to run: Node and pnpm where the machine's own are missing or too old,
 * and the packages of the lockfile. Does nothing, in well under a second, when all that is there.
 *
 * @param {object} options
 * @param {string} options.root
 * @param {NodeJS.ProcessEnv} options.env
 * @param {(line: string) => void} options.say for progress
 * @param {boolean} options.needsPnpm whether what runs next is pnpm itself
 * @returns {Promise<{ node: string, env: NodeJS.ProcessEnv, summary: string }>} the Node to run
 *   with, the environment to run in, and one line on what the set-up took
 */
export async function setUp({ root, env, say, needsPnpm }) {
  const startedAt = performance.now();
  const pins = readPins();
  const platform = platformName();
  const stateFolder = join(root, ".mayfly");
  const toolsFolder = join(stateFolder, "tools");
  const bin = join(toolsFolder, `bin-${pins.node.version}-${pins.pnpm.version}-${platform}`);
  /** @type {string[]} */
  const fetched = [];

  /** @param {"node" | "pnpm"} kind */
  const fetchTool = async (kind) => {
    const tool = await ensureTool({ kind, tool: pins[kind], toolsFolder, platform, env, say });
    if (tool.fetched) fetched.push(tool.folder);
    await linkInto(bin, kind, tool.file);
    return tool.file;
  };

  const ownIsFine = majorOf(process.versions.node) >= pins.node.acceptedMajorFrom;
  const node = ownIsFine ? process.execPath : await fetchTool("node");
  const path = ownIsFine ? [dirname(process.execPath), bin] : [bin];
  const findPnpm = async () =>
    (await hasOwnPnpm(pins.pnpm, root, env)) ? "pnpm" : fetchTool("pnpm");
  const installed = await ensurePackages({
    root,
    stateFolder,
    platform,
    env,
    path,
    say,
    findPnpm,
  });
  if (needsPnpm) await findPnpm();
  if (installed) fetched.push(join(root, "node_modules"));

  const sizes = await Promise.all(fetched.map(sizeOf));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const summary =
    fetched.length === 0
      ? `set-up: nothing to do (${seconds} s)`
      : `set up in ${seconds} s, ${megabytes(bytes)} on disk (${fetched.map(nameOf).join(", ")})`;
  return { node, env: withPath(withoutNpm(env), path), summary };
}

/** @returns {string} the platform as the pins name it; a Linux without glibc is none of them */
function platformName() {
  const name = `${process.platform}-${process.arch}`;
  if (process.platform !== "linux") return name;
  // The report would look up the names of open connections.
  Object.assign(process.report, { excludeNetwork: true });
  const report = /** @type {{ header?: { glibcVersionRuntime?: string } }} */ (
    process.report.getReport()
  );
  return report.header?.glibcVersionRuntime === undefined ? `${name}-musl` : name;
}

/** @param {string} version */
const majorOf = (version) => Number.parseInt(version, 10);

/** @param {string} folder */
const nameOf = (folder) => basename(folder).split("-").slice(0, 2).join(" ");

/**
 * @param {import("./tools.mjs").Tool} tool
 * @param {string} cwd
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<boolean>} whether the machine's own pnpm is new enough
 */
async function hasOwnPnpm(tool, cwd, env) {
  const own = await runQuietly("pnpm", ["--version"], {
    cwd,
    // A pnpm that is corepack's shim would fetch one instead of saying its version.
    env: { ...withoutNpm(env), COREPACK_ENABLE_NETWORK: "0" },
    timeoutMs: OWN_PNPM_TIMEOUT_MS,
  }).catch(() => undefined);
  return own?.code === 0 && majorOf(own.output.trim()) === tool.acceptedMajorFrom;
}

/**
 * Puts a tool under its plain name into the folder that goes on the PATH.
 *
 * @param {string} bin
 * @param {string} name
 * @param {string} file
 */
async function linkInto(bin, name, file) {
  await mkdir(bin, { recursive: true });
  const fresh = join(bin, `.${name}.${process.pid}`);
  await rm(fresh, { force: true });
  await symlink(file, fresh);
  await rename(fresh, join(bin, name));
}
