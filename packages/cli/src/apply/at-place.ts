import { CliError } from "../cli-error.ts";

/** The same error, naming where in a file it arose. */
export const atPlace = (error: CliError, place: string): CliError =>
  new CliError({ ...error.parts, where: place }, error);
