import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";

const run = promisify(execFile);

export interface PgbenchOptions {
  /** Whose password it holds: handed over by the environment. */
  readonly url: string;
  /** A pgbench script. */
  readonly script: string;
  readonly clients: number;
  readonly seconds: number;
  readonly protocol?: "simple" | "prepared";
}

export interface PgbenchResult {
  readonly perSecond: number;
  readonly latencyMs: number;
  readonly failed: number;
}

const report = z.object({ tps: z.coerce.number(), latency: z.coerce.number() });

/** Null where there is no pgbench on the PATH (Debian: postgresql-client or postgresql-contrib). */
export async function findPgbench(): Promise<string | null> {
  try {
    const { stdout } = await run("pgbench", ["--version"]);
    return stdout.trim();
  } catch {
    return null;
  }
}

/** One run of PostgreSQL's own load generator. Throws when a client of it failed. */
export async function pgbench(options: PgbenchOptions): Promise<PgbenchResult> {
  const url = new URL(options.url);
  const folder = await mkdtemp(join(tmpdir(), "mayfly-pgbench-"));
  try {
    const file = join(folder, "script.sql");
    await writeFile(file, options.script);
    const { stdout } = await run(
      "pgbench",
      [
        "--no-vacuum",
        `--file=${file}`,
        `--client=${options.clients}`,
        `--jobs=${Math.min(2, options.clients)}`,
        `--time=${options.seconds}`,
        `--protocol=${options.protocol ?? "simple"}`,
        // A client's own counter, for names that nobody else uses.
        "--define=n=0",
        url.pathname.slice(1),
      ],
      {
        env: {
          PATH: process.env["PATH"] ?? "",
          PGHOST: url.hostname,
          PGPORT: url.port,
          PGUSER: decodeURIComponent(url.username),
          PGPASSWORD: decodeURIComponent(url.password),
        },
      },
    );
    return { ...ratesOf(stdout), failed: failuresOf(stdout) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function ratesOf(stdout: string): { readonly perSecond: number; readonly latencyMs: number } {
  const { tps, latency } = report.parse({
    tps: /^tps = ([\d.]+)/m.exec(stdout)?.[1],
    latency: /^latency average = ([\d.]+) ms/m.exec(stdout)?.[1],
  });
  return { perSecond: tps, latencyMs: latency };
}

const failuresOf = (stdout: string): number =>
  Number(/^number of failed transactions: (\d+)/m.exec(stdout)?.[1] ?? 0);
