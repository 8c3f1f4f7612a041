import { spawn } from "node:child_process";
import { constants } from "node:os";

/**
 * Runs a child on this terminal and ends as it ends.
 *
 * A signal that we get is passed on. Ctrl-C on a terminal goes to the whole process group, the
 * child included, so that one is not doubled.
 *
 * @param {string} file
 * @param {readonly string[]} args
 * @param {{ cwd: string, env: NodeJS.ProcessEnv, wholeGroup?: boolean }} options `wholeGroup`: a
 *   signal goes to the child's children too, for a child that would leave them behind
 * @returns {Promise<number>} the exit code, or 128 and the signal's number, as shells say it
 */
export function runChild(file, args, { cwd, env, wholeGroup = false }) {
  return new Promise((resolve, reject) => {
    // On a terminal the child stays in our group, where Ctrl-C and reading from it work.
    const detached = wholeGroup && !process.stdin.isTTY;
    const child = spawn(file, [...args], { cwd, env, stdio: "inherit", detached });
    /** @param {NodeJS.Signals} signal */
    const passOn = (signal) => {
      if (signal === "SIGINT" && process.stdin.isTTY) return;
      if (detached && child.pid !== undefined) process.kill(-child.pid, signal);
      else child.kill(signal);
    };
    /** @type {NodeJS.Signals[]} */
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
    for (const signal of signals) process.on(signal, passOn);
    const done = () => {
      for (const signal of signals) process.off(signal, passOn);
    };
    child.once("error", (error) => {
      done();
      reject(error);
    });
    child.once("close", (code, signal) => {
      done();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

/**
 * Runs a child and keeps what it prints.
 *
 * @param {string} file
 * @param {readonly string[]} args
 * @param {object} options
 * @param {string} options.cwd
 * @param {NodeJS.ProcessEnv} options.env
 * @param {number} options.timeoutMs
 * @param {(text: string) => void} [options.onOutput] sees each piece as it comes
 * @returns {Promise<{ code: number, output: string }>} the exit code (124 after the timeout) and
 *   the last 64 KiB of what it printed
 */
export function runQuietly(file, args, { cwd, env, timeoutMs, onOutput }) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, [...args], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let late = false;
    /** @param {Buffer} chunk */
    const keep = (chunk) => {
      const text = chunk.toString("utf8");
      output = (output + text).slice(-65_536);
      onOutput?.(text);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code: late ? 124 : (code ?? 1), output });
    });
  });
}
