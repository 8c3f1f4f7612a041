import { postgresUrl, testPostgres } from "@mayfly/testkit/vitest";

/** A PostgreSQL that an installation uses, for its ledger or as the customer's. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  url(database: string, user?: string, password?: string): string;
}

/** The PostgreSQL that all files of the run share: its roles are everybody's. */
export function sharedServer(): ServerAddress {
  const { host, port } = testPostgres();
  return {
    host,
    port,
    url: (database, user, password) =>
      user === undefined
        ? postgresUrl(database)
        : postgresUrl(database, { user, password: password ?? "" }),
  };
}
