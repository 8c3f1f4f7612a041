import { CLIENT_VARIABLES } from "./client-variables.ts";
import { VARIABLES } from "./variables.ts";

/** Every variable of every process, in the order of the page. */
export const ALL_VARIABLES = [...Object.values(VARIABLES), ...Object.values(CLIENT_VARIABLES)];

/** All names that the environment may hold, `_FILE` forms of secrets included. */
export const VARIABLE_NAMES: ReadonlySet<string> = new Set(
  ALL_VARIABLES.flatMap((variable) =>
    variable.fileForm ? [variable.name, `${variable.name}_FILE`] : [variable.name],
  ),
);
