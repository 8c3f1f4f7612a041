import type { Command } from "commander";
import type { Session } from "../session.ts";
import { examples } from "./examples.ts";
import {
  ifMatchOption,
  preconditionHeaders,
  type PreconditionOptions,
} from "./precondition-options.ts";

export interface Switched {
  /** `role` of `mayfly role disable`. */
  readonly noun: string;
  readonly argument: string;
  readonly example: string;
  readonly enables: string;
  readonly disables: string;
  readonly pathOf: (name: string) => string;
}

/** `enable` and `disable` of a registered object. */
export function switchCommands(
  parent: Command,
  open: (command: Command) => Session,
  { noun, argument, example, enables, disables, pathOf }: Switched,
): void {
  for (const [verb, description] of [
    ["enable", enables],
    ["disable", disables],
  ] as const) {
    ifMatchOption(parent.command(verb).description(description))
      .argument(`<${noun}>`, argument)
      .addHelpText("after", examples(`mayfly ${noun} ${verb} ${example}`))
      .action(async (name: string, options: PreconditionOptions, command: Command) => {
        const session = open(command);
        const headers = preconditionHeaders(options);
        const path = `${pathOf(name)}/${verb}`;
        const answer = await session.api().send("POST", path, undefined, headers);
        if (session.json) session.record(answer);
        else session.note(`${verb}d  ${noun} ${name}`);
      });
  }
}
