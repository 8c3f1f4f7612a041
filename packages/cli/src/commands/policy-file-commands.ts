import type { Command } from "commander";
import type { Session } from "../session.ts";
import { examples } from "./examples.ts";

/** `policy check` and `policy test`: on files alone, without a broker. */
export function policyFileCommands(policy: Command, open: (command: Command) => Session): void {
  policy
    .command("check")
    .description("compile policies as the broker would, and say where one is wrong")
    .argument("<path...>", "*.cedar files, or folders that hold them")
    .addHelpText("after", examples("mayfly policy check mayfly/policies"))
    .action(async (paths: string[], _options: object, command: Command) => {
      const { checkPolicies } = await import("../local/check-policies.ts");
      checkPolicies(open(command), paths);
    });
  policy
    .command("test")
    .description("run *.test.yaml against the policies beside them")
    .argument("<path...>", "*.cedar and *.test.yaml files, or folders that hold them")
    .option("--roles <path...>", "roles/*.yaml to take facts from, besides those found")
    .addHelpText(
      "after",
      `
A role's facts come from roles/*.yaml in or beside the folder, its backend's type from
backends/*.yaml. A test may override them with role_facts. A policy that reads the grant is
tested with a grant: in the test, since no backend is asked.
${examples("mayfly policy test mayfly", "mayfly policy test a.cedar a.test.yaml --json")}`,
    )
    .action(async (paths: string[], options: { roles?: string[] }, command: Command) => {
      const { testPolicies } = await import("../local/test-policies.ts");
      testPolicies(open(command), paths, options.roles ?? []);
    });
}
