import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { withoutNpm, withPath } from "./environment.mjs";
import { SetUpFailure } from "./failure.mjs";
import { withLock } from "./lock.mjs";
import { runQuietly } from "./run-child.mjs";

/** @typedef {(line: string) => void} Say */

const INSTALL_TIMEOUT_MS = 10 * 60_000;
const INPUTS = ["pnpm-lock.yaml", "pnpm-workspace.yaml", "package.json"];

/**
 * Installs what the lockfile says, unless it did so last time.
 *
 * @param {object} wanted
 * @param {string} wanted.root
 * @param {string} wanted.stateFolder where the stamp and the lock are
 * @param {string} wanted.platform
 * @param {NodeJS.ProcessEnv} wanted.env
 * @param {readonly string[]} wanted.path folders that go before the PATH: install scripts run node
 * @param {() => Promise<string>} wanted.findPnpm called only when there is something to install
 * @param {Say} wanted.say
 * @returns {Promise<boolean>} whether there was something to install
 */
export async function ensurePackages({ root, stateFolder, platform, env, path, findPnpm, say }) {
  const stamp = join(stateFolder, "installed");
  const wanted = await digest(root, platform);
  const upToDate = async () =>
    existsSync(join(root, "node_modules", ".modules.yaml")) &&
    (await readFile(stamp, "utf8").catch(() => "")) === wanted;
  if (await upToDate()) return false;

  const pnpm = await findPnpm();
  /** @param {number} pid */
  const onWait = (pid) => say(`waiting for the set-up that process ${pid} is making`);
  return withLock(
    join(stateFolder, "install.lock"),
    { waitMs: INSTALL_TIMEOUT_MS, onWait },
    async () => {
      if (await upToDate()) return false;
      say("installing packages as the lockfile says");
      await install({ root, pnpm, env: withPath(withoutNpm(env), path), say });
      const fresh = `${stamp}.${process.pid}`;
      await writeFile(fresh, wanted);
      await rename(fresh, stamp);
      return true;
    },
  );
}

/** @param {{ root: string, pnpm: string, env: NodeJS.ProcessEnv, say: Say }} what */
async function install({ root, pnpm, env, say }) {
  const args = ["install", "--frozen-lockfile", "--prefer-offline", "--reporter=append-only"];
  const { code, output } = await runQuietly(pnpm, args, {
    cwd: root,
    // CI: pnpm asks no questions, for instance whether to remove a node_modules of another version.
    env: { ...env, CI: "true" },
    timeoutMs: INSTALL_TIMEOUT_MS,
    onOutput: progressOf(say),
  });
  if (code === 0) return;
  const lines = output.split("\n").filter((line) => /ERR|error|WARN/u.test(line));
  throw new SetUpFailure({
    what: "The packages could not be installed.",
    where: `pnpm install --frozen-lockfile in ${root}, exit code ${code}`,
    why: lines.slice(-5).join("; ") || output.slice(-500),
    toDo: /ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|META_FETCH_FAIL/u.test(output)
      ? "Check the network, the proxy and `npm config get registry`, then run it again."
      : "If package.json was changed, run `pnpm install` and commit the lockfile; then run it again.",
  });
}

/**
 * @param {Say} say
 * @returns {(text: string) => void} passes on pnpm's own count, at most every two seconds
 */
function progressOf(say) {
  let next = Date.now() + 2_000;
  return (text) => {
    const count = text.match(/Progress: .*/u)?.[0];
    if (count === undefined || Date.now() < next) return;
    next = Date.now() + 2_000;
    say(`  ${count.trim()}`);
  };
}

/**
 * @param {string} root
 * @param {string} platform
 */
async function digest(root, platform) {
  const hash = createHash("sha256").update(platform);
  for (const name of INPUTS) hash.update(await readFile(join(root, name)));
  return hash.digest("hex");
}
