import { execFile } from "node:child_process";
import { readFile, readlink } from "node:fs/promises";
import { basename } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * A mark that distinguishes a process from a later one with the same id: when it started, in the
 * operating system's own terms. `undefined` when there is no such process; a process that has
 * ended and was not collected by its parent counts as none.
 */
export async function startMarkOf(pid: number): Promise<string | undefined> {
  if (process.platform === "linux") return startMarkFromProc(pid);
  try {
    const { stdout } = await run("ps", ["-o", "stat=,lstart=", "-p", String(pid)]);
    const [state, ...started] = stdout.trim().split(/\s+/);
    if (state === undefined || state.startsWith("Z")) return undefined;
    return started.join(" ");
  } catch {
    return undefined;
  }
}

/** proc(5), /proc/pid/stat: the state is field 3 and the start field 22, after the name in (). */
async function startMarkFromProc(pid: number): Promise<string | undefined> {
  try {
    const line = await readFile(`/proc/${pid}/stat`, "utf8");
    const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    return fields[19];
  } catch {
    return undefined;
  }
}

/**
 * Whether process `pid` runs `program` with `directory` as its working directory, which is where
 * both PostgreSQL and Redis stay. `directory` has no symbolic links in it. False in any doubt:
 * the answer decides who gets a signal.
 */
export async function runsIn(pid: number, program: string, directory: string): Promise<boolean> {
  try {
    if (process.platform === "linux") {
      const [exe, cwd] = await Promise.all([
        readlink(`/proc/${pid}/exe`),
        readlink(`/proc/${pid}/cwd`),
      ]);
      return basename(exe.replace(/ \(deleted\)$/, "")).startsWith(program) && cwd === directory;
    }
    const [comm, files] = await Promise.all([
      run("ps", ["-o", "comm=", "-p", String(pid)]),
      run("lsof", ["-a", "-p", String(pid), "-d", "cwd", "-Fn"]),
    ]);
    const cwd = files.stdout.split("\n").find((line) => line.startsWith("n"));
    return basename(comm.stdout.trim()).startsWith(program) && cwd === `n${directory}`;
  } catch {
    return false;
  }
}
