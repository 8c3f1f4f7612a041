/** The environment of the process: the one place of the command that reads it. */
export const processEnvironment = (): Readonly<Record<string, string | undefined>> => process.env;
