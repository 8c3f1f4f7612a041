/** The servers of a test run, for `*.pg.test.ts` and `test/**`. */
export {
  freshDatabase,
  postgresUrl,
  testPostgres,
  type DatabaseTemplate,
  type FreshDatabaseOptions,
  type TestDatabase,
} from "./fresh-database.ts";
export { eventually } from "./eventually.ts";
export { isInstalled } from "./is-installed.ts";
export type { ProvidedPostgres } from "./provided.ts";
export {
  startCustomerPostgres,
  testedPostgresVersions,
  type CustomerPostgres,
  type CustomerPostgresOptions,
} from "./customer-postgres.ts";
export {
  accountOf,
  customerUpstream,
  lockRoles,
  tryLogin,
  type CustomerUpstream,
} from "./customer-upstream.ts";
