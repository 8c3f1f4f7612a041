import type { AuthorityStep } from "@mayfly/spec";

/** With names of an example; the page of the type shows the same and says what each is for. */
export const AUTHORITY: readonly AuthorityStep[] = [
  {
    what: "As an administrator of the server. On MySQL it is CONNECTION_ADMIN.",
    language: "sql",
    text: `CREATE ROLE orders_reader;
GRANT SELECT ON orders.* TO orders_reader;

CREATE DATABASE mayfly;
CREATE TABLE mayfly.leases (name varchar(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,
  mark varchar(1000) CHARACTER SET ascii NOT NULL) ENGINE = InnoDB;

CREATE USER mayfly IDENTIFIED BY 'choose-one';
GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO mayfly;
GRANT SELECT (Host, User) ON mysql.user TO mayfly;
GRANT SELECT, INSERT, UPDATE, DELETE ON mayfly.leases TO mayfly;
GRANT orders_reader TO mayfly WITH ADMIN OPTION;
`,
  },
];
