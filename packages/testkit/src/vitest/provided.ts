/** The one PostgreSQL of a test run, as the global set-up hands it to the tests' processes. */
export interface ProvidedPostgres {
  /** As the server says it, e.g. `18.4`. */
  readonly version: string;
  readonly host: string;
  readonly port: number;
  readonly superuser: { readonly user: string; readonly password: string };
}

declare module "vitest" {
  interface ProvidedContext {
    mayflyPostgres: ProvidedPostgres;
  }
}
