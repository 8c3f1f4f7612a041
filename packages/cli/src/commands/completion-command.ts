import tab from "@bomb.sh/tab/commander";
import type { Command } from "commander";
import type { Io } from "../io.ts";
import { examples } from "./examples.ts";

/** The script asks for the words by a function of the package bash-completion, often not there. */
const BASH_WITHOUT_PACKAGE = `declare -F _get_comp_words_by_ref >/dev/null ||
  _get_comp_words_by_ref() {
    words=("\${COMP_WORDS[@]}") cword=$COMP_CWORD
    cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  }
`;

/**
 * `mayfly completion <shell>`, and the hidden `mayfly complete -- <words>` that the script asks at
 * each key. It knows the commands that are there when it is called, so it comes last.
 */
export function completionCommand(program: Command, io: Pick<Io, "out">): void {
  tab(program, { completionCommandName: "completion" });
  const command = program.commands.find((each) => each.name() === "completion");
  command
    ?.description("print a script that completes commands and options in your shell")
    .hook("preAction", (_program, { args: [shell] }) => {
      if (shell === "bash") io.out(BASH_WITHOUT_PACKAGE);
    })
    .addHelpText(
      "after",
      `
Put it where your shell looks: bash reads what ~/.bashrc sources, zsh a file _mayfly in a folder of
its fpath, fish ~/.config/fish/completions/mayfly.fish.
${examples(
  "mayfly completion bash > mayfly.bash && source ./mayfly.bash",
  "mayfly completion zsh > _mayfly",
  "mayfly completion fish > mayfly.fish",
)}`,
    );
}
