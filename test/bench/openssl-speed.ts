import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

export async function findOpenssl(): Promise<string | null> {
  try {
    return (await run("openssl", ["version"])).stdout.trim();
  } catch {
    return null;
  }
}

/** ES256 verifications a second of one core's time, as `openssl speed` counts them. */
export async function opensslVerifications(seconds: number): Promise<number> {
  const { stdout } = await run("openssl", ["speed", "-seconds", String(seconds), "ecdsap256"]);
  // "256 bits ecdsa (nistp256)   0.0000s   0.0001s  49492.3  16246.7": sign/s, then verify/s.
  const perSecond = Number(/nistp256\).*\s([\d.]+)\s*$/m.exec(stdout)?.[1]);
  if (!(perSecond > 0)) throw new Error(`openssl speed said something else: ${stdout}`);
  return perSecond;
}
