import type { AuthorityStep } from "@mayfly/spec";

/** With names of an example; the page of the type shows the same and says what each is for. */
export const AUTHORITY: readonly AuthorityStep[] = [
  {
    what: "As a superuser, or as the administrator of a managed service, on PostgreSQL 16 and newer.",
    language: "sql",
    text: `-- PostgreSQL 16, 17, 18
CREATE ROLE orders_reader NOLOGIN;
GRANT USAGE ON SCHEMA public TO orders_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO orders_reader;
CREATE ROLE orders_owner NOLOGIN;

CREATE ROLE mayfly_orders LOGIN CREATEROLE PASSWORD 'choose-one';
GRANT CONNECT ON DATABASE orders TO orders_reader, mayfly_orders;
GRANT pg_signal_backend TO mayfly_orders;
GRANT orders_reader TO mayfly_orders WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
GRANT orders_owner TO mayfly_orders WITH INHERIT TRUE, SET TRUE;
`,
  },
  {
    what: "The same on PostgreSQL 15.",
    language: "sql",
    text: `-- PostgreSQL 15
CREATE ROLE orders_reader NOLOGIN;
GRANT USAGE ON SCHEMA public TO orders_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO orders_reader;
CREATE ROLE orders_owner NOLOGIN;

CREATE ROLE mayfly_orders LOGIN CREATEROLE PASSWORD 'choose-one';
GRANT CONNECT ON DATABASE orders TO orders_reader, mayfly_orders;
GRANT pg_signal_backend TO mayfly_orders;
GRANT orders_owner TO mayfly_orders;
`,
  },
];
