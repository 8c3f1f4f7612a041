import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build, stop, type Plugin } from "esbuild";
import { SOURCES, type Programs } from "./service-process.ts";

const REPOSITORY = join(import.meta.dirname, "../..");

const PROGRAMS = ["broker", "worker", "migrator"] as const;

/** For what is CommonJS in it; by names that no module has. */
const REQUIRE = [
  'import { createRequire as requireOfBundle } from "node:module";',
  "const require = requireOfBundle(import.meta.url);",
].join("\n");

/** Modules that look for files beside their scripts, and whose module they are: left in place. */
const IN_PLACE = [
  { imported: /^@cedar-policy\//, by: "packages/policy/package.json" },
  { imported: /^ssh2$/, by: "packages/backend-ssh/package.json" },
];

const inTheirPlace: Plugin = {
  name: "in-their-place",
  setup: (building) => {
    for (const { imported, by } of IN_PLACE) {
      const importer = createRequire(join(REPOSITORY, by));
      building.onResolve({ filter: imported }, ({ path }) => ({
        path: pathToFileURL(importer.resolve(path)).href,
        external: true,
      }));
    }
  },
};

/**
 * What offers the types of backends, in the place of the file that offers those of the product. No
 * type of the product has principals that are used again, and what kills and freezes processes is
 * to meet one.
 */
const withPooledType: Plugin = {
  name: "with-pooled-type",
  setup: (building) => {
    building.onResolve({ filter: /^\.\/backend-types\.ts$/ }, ({ importer }) =>
      importer.startsWith(join(REPOSITORY, "services/composition/src"))
        ? { path: join(import.meta.dirname, "with-pooled-type.ts") }
        : null,
    );
  },
};

export interface BundleOptions {
  /** Whether they offer the type `pooled-roles` as well. Default: no. */
  readonly hasPooledType?: boolean;
}

/**
 * The programs, each as one file of the same sources: it starts in a fifth of the processor's time,
 * and what tests kill a thousand times is started a thousand times.
 */
export async function bundlePrograms(
  started: AsyncDisposableStack,
  { hasPooledType = false }: BundleOptions = {},
): Promise<Programs> {
  await mkdir(join(REPOSITORY, ".mayfly"), { recursive: true });
  const folder = await mkdtemp(join(REPOSITORY, ".mayfly/bundled-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  // As deep as a package's `src`: what is found from there is found from here.
  const outdir = join(folder, "src");
  await build({
    entryPoints: PROGRAMS.map((name) => ({ out: name, in: SOURCES[name] })),
    outdir,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    mainFields: ["module", "main"],
    external: ["pg-native"],
    plugins: [inTheirPlace, ...(hasPooledType ? [withPooledType] : [])],
    logLevel: "error",
    banner: { js: REQUIRE },
  });
  await stop();
  // Where the command reads its version.
  await writeFile(join(folder, "package.json"), JSON.stringify({ version: "0.0.0" }));
  const at = (name: string): string => join(outdir, `${name}.mjs`);
  const compiled = join(folder, "compiled");
  const keepCompiled = join(folder, "keep-compiled.cjs");
  const script = `require("node:module").enableCompileCache(${JSON.stringify(compiled)});\n`;
  await writeFile(keepCompiled, script);
  const [broker, worker, migrator] = [at("broker"), at("worker"), at("migrator")];
  return { broker, worker, migrator, compiled, keepCompiled };
}
