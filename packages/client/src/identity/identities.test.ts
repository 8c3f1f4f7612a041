import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MayflyError } from "../mayfly-error.ts";
import type { Surroundings } from "../surroundings.ts";
import { startServer } from "../testing/http-server.ts";
import { testSurroundings } from "../testing/test-surroundings.ts";
import { unsignedToken } from "../testing/unsigned-token.ts";
import { startWorkloadApi } from "../testing/workload-api.ts";
import { fileIdentity } from "./file-identity.ts";
import { gcpIdentity } from "./gcp-identity.ts";
import { kubernetesIdentity } from "./kubernetes-identity.ts";
import { chooseIdentity, presentIdentity, type Identity } from "./present-identity.ts";
import { spiffeIdentity, targetOf } from "./spiffe-identity.ts";

const ISSUER = "https://mayfly.acme.test";
const TOKEN = unsignedToken(ISSUER);

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-identity-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function present(wanted: Identity | undefined, around: Surroundings): Promise<string> {
  const source = await chooseIdentity(wanted, around, undefined);
  return (await presentIdentity(source, ISSUER, around)).expose();
}
async function refusal(outcome: Promise<unknown>): Promise<MayflyError> {
  const error: unknown = await outcome.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (MayflyError.is(error)) return error;
  throw new Error("expected a MayflyError", { cause: error });
}

describe("a file", () => {
  test("is read anew for each proof", async () => {
    const path = join(folder, "token");
    const around = testSurroundings({ MAYFLY_IDENTITY_FILE: path });
    await writeFile(path, `${TOKEN}\n`);
    expect(await present(undefined, around)).toBe(TOKEN);
    const next = unsignedToken([ISSUER], "next");
    await writeFile(path, next);
    expect(await present(undefined, around)).toBe(next);
  });
  test("that is not there, or holds no JWT, is named, and its content is not shown", async () => {
    const around = testSurroundings();
    const gone = await refusal(present(fileIdentity("/nowhere/token"), around));
    expect(gone.message).toContain("/nowhere/token cannot be read: ENOENT");
    const path = join(folder, "password");
    await writeFile(path, "hunter2 is no token");
    const error = await refusal(present(fileIdentity(path), around));
    expect(error.code).toBe("identity_unavailable");
    expect(error.message).not.toContain("hunter2");
  });
});

describe("an environment variable", () => {
  test("holds the token itself", async () => {
    expect(await present(undefined, testSurroundings({ MAYFLY_IDENTITY_TOKEN: TOKEN }))).toBe(
      TOKEN,
    );
  });
});

describe("the SPIFFE Workload API", () => {
  test.each(["unix", "tcp"])("over %s gives a JWT-SVID for the issuer", async (transport) => {
    const at = transport === "unix" ? `unix://${folder}/agent.sock` : "tcp";
    await using api = await startWorkloadApi(at, (audience) => unsignedToken([audience]));
    const around = testSurroundings({ SPIFFE_ENDPOINT_SOCKET: api.socket });
    expect(await present(undefined, around)).toBe(unsignedToken([ISSUER]));
    const own = spiffeIdentity({ spiffeId: "spiffe://system.test/agent/two" });
    await present(own, around);
    expect(api.requests).toEqual([
      { audience: [ISSUER], spiffe_id: "" },
      { audience: [ISSUER], spiffe_id: "spiffe://system.test/agent/two" },
    ]);
  });
  test("says so where no entry matches the workload", async () => {
    await using api = await startWorkloadApi("tcp", () => null);
    const around = testSurroundings({ SPIFFE_ENDPOINT_SOCKET: api.socket });
    const error = await refusal(present(undefined, around));
    expect(error.message).toContain("no registration entry matches this workload");
  });
  test("says so where no agent answers, and does not fall back to another identity", async () => {
    const around = testSurroundings({
      SPIFFE_ENDPOINT_SOCKET: `unix://${folder}/no-agent.sock`,
      ACTIONS_ID_TOKEN_REQUEST_URL: "http://127.0.0.1:1/",
    });
    const error = await refusal(present(undefined, around));
    expect(error.message).toContain("spiffe gave no usable token: the Workload API: no agent");
  });
  test.each(["/run/agent.sock", "unix:relative", "tcp://agent.test:1", "http://127.0.0.1:1"])(
    "refuses %s, which the standard does not know",
    (socket) => {
      expect(() => targetOf(socket)).toThrow(/no Workload API endpoint/);
    },
  );
});

test("a Kubernetes projected token is found at its place", async () => {
  const path = join(folder, "projected");
  await writeFile(path, TOKEN);
  expect(await present(kubernetesIdentity({ path }), testSurroundings())).toBe(TOKEN);
});

describe("GitHub Actions", () => {
  test("is asked for a token with the audience, by the job's own token", async () => {
    await using github = await startServer(({ headers }) =>
      headers.authorization === "Bearer job-token"
        ? { status: 200, body: JSON.stringify({ count: 1, value: TOKEN }) }
        : { status: 401, body: "{}" },
    );
    const url = `${github.url}/idtoken?api-version=2.0`;
    const around = testSurroundings({
      ACTIONS_ID_TOKEN_REQUEST_URL: url,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "job-token",
    });
    expect(await present(undefined, around)).toBe(TOKEN);
    expect(github.heard[0]?.path).toBe(
      `/idtoken?api-version=2.0&audience=${encodeURIComponent(ISSUER)}`,
    );
    const wrong = testSurroundings({
      ACTIONS_ID_TOKEN_REQUEST_URL: url,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "wrong-job-token",
    });
    const error = await refusal(present(undefined, wrong));
    expect(error.message).toContain("GitHub answered 401");
    expect(error.message).not.toContain("wrong-job-token");
  });
  test("without its variables says which permission the workflow lacks", async () => {
    const around = testSurroundings({ GITHUB_ACTIONS: "true", GCE_METADATA_HOST: "127.0.0.1:1" });
    const error = await refusal(present(undefined, around));
    expect(error.message).toContain("permissions: id-token: write");
  });
});

describe("Google's metadata server", () => {
  const answer = (path: string, flavour: string | string[] | undefined) => {
    const headers = { "metadata-flavor": "Google" };
    if (flavour !== "Google") return { status: 403, headers, body: "" };
    const isDefault = path.includes("/service-accounts/default/identity");
    if (path === "/" || isDefault) return { status: 200, headers, body: TOKEN };
    return { status: 404, headers, body: "no such account" };
  };
  test("gives the default account's identity token", async () => {
    await using metadata = await startServer(({ path, headers }) =>
      answer(path, headers["metadata-flavor"]),
    );
    const around = testSurroundings({ GCE_METADATA_HOST: metadata.url.slice("http://".length) });
    expect(await present(undefined, around)).toBe(TOKEN);
    const last = new URL(metadata.heard.at(-1)?.path ?? "", metadata.url);
    expect([last.searchParams.get("audience"), last.searchParams.get("format")]).toEqual([
      ISSUER,
      "full",
    ]);
    const error = await refusal(present(gcpIdentity({ serviceAccount: "gone" }), around));
    expect(error.message).toContain('no service account "gone"');
  });
});

/** The firmware of the machine is not the test's. */
function onMachineOf(vendor: string) {
  const around = testSurroundings({ GCE_METADATA_HOST: "127.0.0.1:1" });
  const readFile = async (path: string): Promise<string> =>
    path.startsWith("/sys/class/dmi/") ? `${vendor}\n` : around.readFile(path);
  return { ...around, readFile };
}

test("a machine of EC2 is known as AWS's, where an instance profile sets no variable", async () => {
  expect((await chooseIdentity(undefined, onMachineOf("Amazon EC2"), undefined)).kind).toBe("aws");
});

test("without any source, each is listed with why it did not serve", async () => {
  const error = await refusal(present(undefined, onMachineOf("Somebody")));
  expect(error.code).toBe("no_identity");
  for (const why of [
    "file: MAYFLY_IDENTITY_FILE is not set",
    "environment: MAYFLY_IDENTITY_TOKEN is not set",
    "spiffe: SPIFFE_ENDPOINT_SOCKET is not set",
    "kubernetes: there is no projected token",
    "github-actions: ACTIONS_ID_TOKEN_REQUEST_URL is not set",
    "aws: no variable",
    "gcp: no metadata server answers",
  ]) {
    expect(error.message).toContain(why);
  }
});

test("a source can be chosen by name, and a wrong name lists the right ones", async () => {
  const path = join(folder, "chosen");
  await writeFile(path, TOKEN);
  const variables = {
    MAYFLY_IDENTITY_FILE: path,
    MAYFLY_IDENTITY_TOKEN: unsignedToken(ISSUER, "e"),
  };
  expect(await present("environment", testSurroundings(variables))).toBe(
    unsignedToken(ISSUER, "e"),
  );
  const chosen = { ...variables, MAYFLY_IDENTITY_SOURCE: "environment" };
  expect(await present(undefined, testSurroundings(chosen))).toBe(unsignedToken(ISSUER, "e"));
  const wrong = { ...variables, MAYFLY_IDENTITY_SOURCE: "enviroment" };
  const error = await refusal(present(undefined, testSurroundings(wrong)));
  expect(error).toMatchObject({ code: "invalid_option", where: "MAYFLY_IDENTITY_SOURCE" });
  expect(error.message).toContain("github-actions");
});

test("a token for somebody else is not sent, and the error says for whom it is", async () => {
  const around = testSurroundings({
    MAYFLY_IDENTITY_TOKEN: unsignedToken("https://kubernetes.test"),
  });
  const error = await refusal(present(undefined, around));
  expect(error.message).toContain(
    `its token is for https://kubernetes.test, and not for ${ISSUER}`,
  );
});

test("a source that hangs is left when the caller no longer waits", async () => {
  const source = { kind: "mine", token: () => new Promise<string>(() => undefined) };
  const around = testSurroundings();
  const gone = new AbortController();
  const chosen = await chooseIdentity(source, around, undefined);
  const outcome = presentIdentity(chosen, ISSUER, around, gone.signal);
  gone.abort();
  await expect(outcome).rejects.toThrow("aborted");
});

test("a source of one's own serves, and the text of its error is not shown", async () => {
  const around = testSurroundings();
  expect(await present({ kind: "mine", token: () => TOKEN }, around)).toBe(TOKEN);
  const broken = { kind: "mine", token: () => Promise.reject(new TypeError(`token ${TOKEN}`)) };
  const error = await refusal(present(broken, around));
  expect(error.message).toContain("mine gave no usable token: TypeError");
  expect(error.message).not.toContain(TOKEN);
});
