import { shortReason, SourceFailure, type IdentitySource } from "./identity-source.ts";

/** Any of them says that AWS credentials may be found. An EC2 instance profile sets none: */
const HINTS = [
  "AWS_CONTAINER_CREDENTIALS_FULL_URI",
  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  "AWS_WEB_IDENTITY_TOKEN_FILE",
  "AWS_LAMBDA_FUNCTION_NAME",
  "AWS_EXECUTION_ENV",
  "AWS_ACCESS_KEY_ID",
  "AWS_PROFILE",
] as const;
/** what the firmware says of the machine, asked before any address of a cloud is. */
const VENDOR_FILE = "/sys/class/dmi/id/sys_vendor";
/** Of the token; STS allows 60 to 3600 seconds. */
const TOKEN_SECONDS = 300;
/** By a variable, so that no bundler or type checker wants it there. */
const SDK = "@aws-sdk/client-sts";

export interface AwsIdentityOptions {
  /** A regional endpoint: the global one does not offer the call. Default: the SDK's own search. */
  readonly region?: string;
}

/**
 * A token by outbound identity federation (AWS STS, `GetWebIdentityToken`), which an administrator
 * of the account has to switch on. The call is signed with the workload's AWS credentials, whose
 * search and signature are the AWS SDK's business: install `@aws-sdk/client-sts` beside this.
 */
export function awsIdentity(options: AwsIdentityOptions = {}): IdentitySource {
  return {
    kind: "aws",
    whyNot: async (around) => {
      if (HINTS.some((name) => (around.variable(name) ?? "") !== "")) return null;
      const vendor = await around.readFile(VENDOR_FILE).catch(() => "");
      if (vendor.includes("Amazon EC2")) return null;
      return "no variable speaks of AWS credentials, and this is no machine of EC2";
    },
    prove: async (audience) => {
      const sdk = await loadSdk();
      const settings = options.region === undefined ? {} : { region: options.region };
      try {
        const client = Reflect.construct(sdk.client, [settings]) as StsClient;
        const input = {
          Audience: [audience],
          SigningAlgorithm: "ES384",
          DurationSeconds: TOKEN_SECONDS,
        };
        const command: unknown = Reflect.construct(sdk.command, [input]);
        const answer: unknown = await client.send(command);
        return tokenOf(answer);
      } catch (error) {
        if (error instanceof SourceFailure) throw error;
        const name = error instanceof Error ? error.name : shortReason(error);
        throw new SourceFailure(`STS GetWebIdentityToken: ${name}`);
      }
    },
  };
}

/** What we use of the SDK's client. */
interface StsClient {
  send(command: unknown): Promise<unknown>;
}
type Constructor = new (input: object) => unknown;

async function loadSdk(): Promise<{ readonly client: Constructor; readonly command: Constructor }> {
  let found: unknown;
  try {
    found = await import(SDK);
  } catch {
    throw new SourceFailure(`the package ${SDK} is not installed: npm install ${SDK}`);
  }
  const client = constructorIn(found, "STSClient");
  const command = constructorIn(found, "GetWebIdentityTokenCommand");
  if (client === null || command === null) {
    throw new SourceFailure(`this version of ${SDK} has no GetWebIdentityToken: update it`);
  }
  return { client, command };
}

function constructorIn(module: unknown, name: string): Constructor | null {
  if (typeof module !== "object" || module === null) return null;
  const found: unknown = Reflect.get(module, name);
  return typeof found === "function" ? (found as Constructor) : null;
}

function tokenOf(answer: unknown): string {
  const token: unknown =
    typeof answer === "object" && answer !== null ? Reflect.get(answer, "WebIdentityToken") : null;
  if (typeof token === "string") return token;
  throw new SourceFailure("STS answered without a token");
}
