/**
 * What a page calls `bao`, where OpenBao is not installed: `bao server -dev …` with the fake of its
 * API. It does nothing else that OpenBao's command does, and ends with an error where it is asked.
 */
import { parseArgs } from "node:util";
import { startFakeVault } from "../../packages/backend-vault/src/testing/fake-vault.ts";

const USAGE = "only: server -dev -dev-no-store-token -dev-root-token-id=… -dev-listen-address=…";

/** Go's flags have one dash. */
const asTyped = (args: readonly string[]): string[] =>
  args.map((arg) => (arg.startsWith("-") ? `-${arg}` : arg));

const { positionals, values } = parseArgs({
  args: asTyped(process.argv.slice(2)),
  allowPositionals: true,
  options: {
    dev: { type: "boolean" },
    "dev-no-store-token": { type: "boolean" },
    "dev-root-token-id": { type: "string" },
    "dev-listen-address": { type: "string" },
  },
});
const port = Number(/^127\.0\.0\.1:(\d+)$/.exec(values["dev-listen-address"] ?? "")?.[1]);
const rootToken = values["dev-root-token-id"];
const isServer = positionals.join(" ") === "server" && values.dev === true;
if (!isServer || Number.isNaN(port) || rootToken === undefined) {
  process.stderr.write(`bao: ${USAGE}\n`);
  process.exitCode = 2;
} else {
  await startFakeVault({ port, rootToken });
}
