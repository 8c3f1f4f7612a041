import { spawnSync } from "node:child_process";

/** One command as printed, and how the page says that it ends. */
export interface PrintedCommand {
  readonly text: string;
  readonly exits: number;
}

const EXITS_COMMENT = /^#\s*exits\s+(\d{1,3})\s*$/;
const EXITS_LINE = /^\(exit code (\d{1,3})\)$/;

/** The commands of a `sh` block: all of it; `# exits N` says how the one above it ends. */
export function commandsOfShell(text: string): readonly PrintedCommand[] {
  const commands: { text: string; exits: number }[] = [];
  let open: string[] = [];
  for (const line of text.split("\n")) {
    const exits = open.length === 0 ? EXITS_COMMENT.exec(line.trim())?.[1] : undefined;
    const last = commands.at(-1);
    if (exits !== undefined && last !== undefined) last.exits = Number(exits);
    else open.push(line);
    if (!isComplete(open.join("\n"))) continue;
    const command = open.join("\n");
    open = [];
    if (isMoreThanComment(command)) commands.push({ text: command, exits: 0 });
  }
  if (open.length > 0) throw new Error(`bash cannot read this to its end:\n${open.join("\n")}`);
  return commands;
}

/** The commands of a `console` block: what follows `$ `; the rest is output, for the reader. */
export function commandsOfConsole(text: string): readonly PrintedCommand[] {
  const commands: { text: string; exits: number }[] = [];
  let open: string[] | null = null;
  for (const line of text.split("\n")) {
    const exits = EXITS_LINE.exec(line.trim())?.[1];
    const last = commands.at(-1);
    if (line.startsWith("$ ")) open = [line.slice(2)];
    else if (open !== null) open.push(line);
    else if (exits !== undefined && last !== undefined) last.exits = Number(exits);
    if (open === null || !isComplete(open.join("\n"))) continue;
    commands.push({ text: open.join("\n"), exits: 0 });
    open = null;
  }
  if (open !== null) throw new Error(`bash cannot read this to its end:\n${open.join("\n")}`);
  return commands;
}

/** Whether bash would run this, and not wait for a quote, a heredoc or another line. */
function isComplete(text: string): boolean {
  if (text.endsWith("\\")) return false;
  const { status, stderr } = spawnSync("bash", ["-n"], { input: `${text}\n`, encoding: "utf8" });
  return status === 0 && stderr === "";
}

const isMoreThanComment = (text: string): boolean =>
  text.split("\n").some((line) => line.trim() !== "" && !line.trim().startsWith("#"));
