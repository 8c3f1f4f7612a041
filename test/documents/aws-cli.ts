import { execFile } from "node:child_process";
import { promisify } from "node:util";

const ANSWER_MS_MAX = 30_000;
const ASKED =
  "sts get-web-identity-token --audience any --signing-algorithm RS256 " +
  "--generate-cli-skeleton output";

/** Whether there is an `aws` that knows of outbound identity federation, which is of late 2025. */
export const hasAwsCli = (): Promise<boolean> =>
  promisify(execFile)("aws", ASKED.split(" "), {
    timeout: ANSWER_MS_MAX,
    env: { ...process.env, AWS_DEFAULT_REGION: "eu-central-1" },
  }).then(
    () => true,
    () => false,
  );
