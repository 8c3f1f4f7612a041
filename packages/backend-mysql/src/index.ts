/** The credential backend for MySQL and MariaDB. */
export { mysqlBackend } from "./mysql-backend.ts";
