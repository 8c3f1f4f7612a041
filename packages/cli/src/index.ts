/** The `mayfly` command, for what starts it without a process of its own. */
export { processIo } from "./process-io.ts";
export { runCli } from "./run-cli.ts";
export type { Io } from "./io.ts";
export { USUAL_TYPES } from "./commands/backend-add-command.ts";
export { sentAnswer } from "./prompts/answer.ts";
export { answerConfig } from "./prompts/answer-config.ts";
export { checkAnswer } from "./prompts/check-answer.ts";
export { readConfigField, type ConfigField } from "./prompts/config-field.ts";
export type { Prompts } from "./prompts/prompts.ts";
export { noPrompts } from "./prompts/no-prompts.ts";
export { EXIT, type ExitCode } from "./exit-codes.ts";
