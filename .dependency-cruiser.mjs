import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * The import fence: who may know whom. Arrows point down, services → core → spec and adapters →
 * spec; only a service's compose.ts knows which adapters exist. `test/tidy/fence.test.ts` seeds a
 * violation of every rule here and expects that rule, and no other, to fail.
 *
 * Paths are relative to the folder that is cruised (the repository, or the test's seeded copy).
 */
/** Tests, and what stands beside them for them alone: `arbitrary-*.ts`, `testing/*.ts`. */
const TEST_FILE = String.raw`(\.test|/arbitrary-[^/]+|/testing/[^/]+)\.ts$`;
const ADAPTERS = "identity|policy|postgres|queue|seal|net|host|telemetry|workload-api";
/** The adapters, and what puts them together for broker and worker alike. */
const ANY_ADAPTER = [`^packages/(${ADAPTERS}|backend-[^/]+)/`, "^services/composition/"];
const DATABASE_DRIVER = "node_modules/(postgres|pg|drizzle-orm|ioredis|bullmq)/";
/** Files of a service that build it out of its parts; `compose-api.ts` is one of several such. */
const COMPOSE = String.raw`^services/[^/]+/src/(compose[a-z-]*|main|migrate)\.ts$`;

/** What the packages of the cruised folder export, as a path each: the only ways in. */
function publicEntries() {
  /** @type {string[]} */
  const entries = [];
  for (const group of ["packages", "services"]) {
    for (const name of readdirSync(group)) {
      // Python's has no manifest of npm.
      if (!existsSync(join(group, name, "package.json"))) continue;
      const manifest = /** @type {{ exports?: Record<string, string | { default: string }> }} */ (
        JSON.parse(readFileSync(join(group, name, "package.json"), "utf8"))
      );
      for (const target of Object.values(manifest.exports ?? {})) {
        const path = typeof target === "string" ? target : target.default;
        entries.push(`^${group}/${name}/${path.replace(/^\.\//, "").replaceAll(".", "\\.")}$`);
      }
    }
  }
  return entries;
}

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    {
      name: "no-circular",
      comment: "Modules in a circle have no order of initialisation and cannot be read one by one.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "no-unresolvable",
      comment: "An import that resolves to nothing escapes every other rule.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "spec-imports-nothing",
      comment:
        "Everything depends on spec: whatever it imported, everything would have, the SDK included.",
      severity: "error",
      // The generator of docs/errors.md is a program beside it, which nothing imports.
      from: { path: "^packages/spec/", pathNot: [TEST_FILE, "/write-errors-page\\.ts$"] },
      to: { pathNot: "^packages/spec/" },
    },
    {
      name: "core-imports-only-spec",
      comment:
        "The use cases stay pure but for their ports, so that the broker can run in a simulator.",
      severity: "error",
      from: { path: "^packages/core/", pathNot: TEST_FILE },
      to: { pathNot: ["^packages/(core|spec)/", "node_modules/(zod|uuid)/", "^(node:)?crypto$"] },
    },
    {
      name: "adapters-import-only-spec",
      comment: "An adapter implements ports of spec; one that knows another cannot be replaced.",
      severity: "error",
      from: { path: `^packages/(${ADAPTERS}|settings)/`, pathNot: TEST_FILE },
      to: { path: "^(packages|services)/", pathNot: ["^packages/spec/", "^packages/$1/"] },
    },
    {
      name: "backends-import-only-spec",
      comment: "A backend is written against spec and the kit alone; its SDK stays its own.",
      severity: "error",
      from: { path: "^packages/(backend-[^/]+)/", pathNot: TEST_FILE },
      to: { path: "^(packages|services)/", pathNot: ["^packages/spec/", "^packages/backend-"] },
    },
    {
      name: "no-backend-to-backend",
      comment: "One backend's failure or upgrade is never another's.",
      severity: "error",
      from: { path: "^packages/(backend-[^/]+)/" },
      to: { path: "^packages/backend-", pathNot: ["^packages/$1/", "^packages/backend-kit/"] },
    },
    {
      name: "only-compose-imports-adapters",
      comment: "Which adapters exist is known in one file of a service, the rest sees ports.",
      severity: "error",
      from: {
        path: "^services/",
        pathNot: [
          TEST_FILE,
          COMPOSE,
          "^services/(embedded|composition)/",
          // The file that starts a service asks composition for its parts.
          "^services/[^/]+/src/start-[^/]+\\.ts$",
          "^services/[^/]+/src/http/",
        ],
      },
      to: { path: ANY_ADAPTER },
    },
    {
      name: "http-imports-no-adapter",
      comment: "A route that knows the database bypasses the use cases and their rules.",
      severity: "error",
      from: { path: "^services/[^/]+/src/http/", pathNot: TEST_FILE },
      to: { path: [...ANY_ADAPTER, DATABASE_DRIVER] },
    },
    {
      name: "client-imports-nothing-of-ours",
      comment:
        "The SDK is published alone: what it imported of the workspace nobody could install.",
      severity: "error",
      from: { path: "^packages/client/", pathNot: TEST_FILE },
      to: { path: "^(packages|services)/", pathNot: "^packages/client/" },
    },
    {
      name: "cli-imports-few-adapters",
      comment: "A client of the API; only migrate, verify, doctor and policy tests run locally.",
      severity: "error",
      from: { path: "^packages/cli/", pathNot: TEST_FILE },
      to: {
        path: "^(packages|services)/",
        pathNot: "^packages/(cli|spec|settings|host|postgres|queue|seal|policy|client)/",
      },
    },
    {
      name: "services-import-no-service",
      comment:
        "Services are deployed apart; composition is what they share, and embedded the one that " +
        "puts them in one process.",
      severity: "error",
      from: { path: "^services/([^/]+)/", pathNot: [TEST_FILE, "^services/embedded/"] },
      to: { path: "^services/", pathNot: ["^services/$1/", "^services/composition/"] },
    },
    {
      name: "testkit-only-from-tests",
      comment: "Fakes and servers that ask nobody for a password have no way into production.",
      severity: "error",
      from: {
        path: "^(packages|services)/",
        pathNot: [TEST_FILE, "^packages/(testkit|embedded)/", "^services/embedded/"],
      },
      to: { path: "^packages/(testkit|embedded)/" },
    },
    {
      name: "no-test-in-production",
      comment: "Code that runs does not need a test to run.",
      severity: "error",
      // The testkit is test code as a whole: only tests import it, by a rule of its own.
      from: { pathNot: [TEST_FILE, "^test/", "^packages/testkit/"] },
      to: { path: TEST_FILE },
    },
    {
      name: "no-deep-import",
      comment: "What a package does not export it may change without telling anybody.",
      severity: "error",
      from: { path: "^(?:packages|services|test)/([^/]+)" },
      to: {
        path: "^(packages|services)/",
        pathNot: ["^(packages|services)/$1/", ...publicEntries()],
      },
    },
    {
      name: "no-dev-dependency",
      comment: "What is published or put in an image is installed without devDependencies.",
      severity: "error",
      from: { path: "^(packages|services)/", pathNot: [TEST_FILE, "^packages/testkit/"] },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only", "npm-peer"] },
    },
    {
      name: "no-undeclared-dependency",
      comment: "The root's tools resolve from everywhere; a package names what it needs itself.",
      severity: "error",
      from: { path: "^(packages|services)/", pathNot: TEST_FILE },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "bootstrap-imports-only-node",
      comment: "It runs before anything is installed.",
      severity: "error",
      from: { path: "^bootstrap/" },
      to: { pathNot: "^bootstrap/", dependencyTypesNot: ["core"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: ["/dist/", "/__fixtures__/", "^test/node_modules"] },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["types", "import", "node", "default"],
      extensions: [".ts", ".mts", ".d.ts", ".d.mts", ".js", ".mjs", ".cjs", ".json"],
    },
  },
};
