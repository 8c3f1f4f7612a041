import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface LocalRegistry extends AsyncDisposable {
  readonly url: string;
  /** Of the one package's tarball, as npm's lockfile has it. */
  readonly integrity: string;
  /** How often the tarball was fetched. */
  fetches(): number;
}

/**
 * A registry on 127.0.0.1 that has one package in one version, packed by npm itself: what the real
 * npm sees of it is what it sees of the real registry.
 */
export async function localRegistry(
  name: string,
  version: string,
  files: Readonly<Record<string, string>>,
): Promise<LocalRegistry> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-registry-"));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  await writeFile(join(folder, "package.json"), JSON.stringify({ name, version }));
  await run("npm", ["pack", "--silent"], { cwd: folder });
  const tarball = await readFile(join(folder, `${name}-${version}.tgz`));
  await rm(folder, { recursive: true });
  const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;

  let fetched = 0;
  const server = createServer((request, response) => {
    const url = `http://${request.headers.host}`;
    if (request.url === `/${name}`) {
      const dist = { tarball: `${url}/${name}.tgz`, integrity };
      response.setHeader("content-type", "application/json");
      response.end(
        JSON.stringify({
          name,
          "dist-tags": { latest: version },
          versions: { [version]: { name, version, dist } },
        }),
      );
    } else if (request.url === `/${name}.tgz`) {
      fetched++;
      response.end(tarball);
    } else {
      response.statusCode = 404;
      response.end("{}");
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return {
    url: `http://127.0.0.1:${address.port}/`,
    integrity,
    fetches: () => fetched,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
