import type { Prompts } from "./prompts.ts";

const nobody = (): Promise<never> => Promise.reject(new Error("nobody is there to ask"));

/** Where no person is: each question is a defect. */
export const noPrompts: Prompts = {
  say: () => undefined,
  text: nobody,
  secret: nobody,
  choose: nobody,
  chooseSeveral: nobody,
  confirm: nobody,
};
