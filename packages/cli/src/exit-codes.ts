/** How the command ends, and what that means: public API, printed in `docs/cli.md`. */
export const EXIT = {
  done: 0,
  /** It was checked, and it is not in order. */
  found: 1,
  usage: 2,
  config: 3,
  refused: 4,
  unavailable: 5,
  defect: 70,
  /** 128 and the number of SIGINT, as shells have it. */
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_MEANINGS: Readonly<Record<ExitCode, string>> = {
  0: "Done.",
  1:
    "Checked, and not in order: a broken chain, a failed policy test, a finding of `doctor`, a " +
    "selection that matched nothing.",
  2: "The command line is wrong, or a confirmation was needed and not given. Nothing was done.",
  3: "The configuration or a file is not usable: nothing was done; or the output was lost, to a full disk.",
  4: "The broker or the ledger refused.",
  5: "The broker, the ledger or a backend does not answer or cannot now. Trying again may help.",
  70: "A defect in the command.",
  130: "Interrupted (Ctrl-C). The message says what was done by then.",
};
