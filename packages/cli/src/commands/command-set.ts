import type { Command } from "commander";
import { createSession, type Ending, type Session } from "../session.ts";
import type { Io } from "../io.ts";

/** Adds commands below `program`; `open` makes the session of the one that runs. */
export type CommandSet = (program: Command, open: (command: Command) => Session) => void;

export const sessionOpener =
  (io: Io, ending: Ending) =>
  (command: Command): Session =>
    createSession(io, ending, command);
