import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createRemoteJWKSet, jwtVerify } from "jose";

/** The npm package `oidc-provider`, in a process of its own. */
export interface OidcProvider extends AsyncDisposable {
  readonly url: string;
  /** What is wrong with these of its tokens. */
  check(tokens: readonly string[]): Promise<readonly string[]>;
}

export async function startOidcProvider(): Promise<OidcProvider> {
  // It warns of settings that are for development; they are what makes it fast.
  const child = fork(join(import.meta.dirname, "oidc-provider-process.ts"), {
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    env: { ...process.env, NODE_ENV: "production" },
  });
  const [{ port }] = (await once(child, "message")) as [{ readonly port: number }];
  const url = `http://127.0.0.1:${port}`;
  const keys = createRemoteJWKSet(new URL(`${url}/jwks`));
  return {
    url,
    check: async (tokens) => {
      const broken: string[] = [];
      for (const token of tokens) {
        const options = { typ: "at+jwt", algorithms: ["ES256"] };
        await jwtVerify(token, keys, options).catch((error: unknown) => {
          broken.push(`a token of oidc-provider is not valid: ${String(error)}`);
        });
      }
      return broken;
    },
    [Symbol.asyncDispose]: async () => {
      const gone = once(child, "exit");
      child.disconnect();
      await gone;
    },
  };
}
