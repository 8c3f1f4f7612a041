import { fieldsOf, textIn } from "../read-answer.ts";
import { fetchText } from "./fetch-text.ts";
import { SourceFailure, type IdentitySource } from "./identity-source.ts";

const URL_VARIABLE = "ACTIONS_ID_TOKEN_REQUEST_URL";
const TOKEN_VARIABLE = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
const TIMEOUT_MS = 10_000;

/** The job's OIDC token (GitHub Actions); the workflow needs `permissions: id-token: write`. */
export function githubActionsIdentity(): IdentitySource {
  return {
    kind: "github-actions",
    whyNot: async (around) => {
      if ((around.variable(URL_VARIABLE) ?? "") !== "") return null;
      return around.variable("GITHUB_ACTIONS") === "true"
        ? `${URL_VARIABLE} is not set: the workflow needs permissions: id-token: write`
        : `${URL_VARIABLE} is not set`;
    },
    prove: async (audience, around, signal) => {
      const base = around.variable(URL_VARIABLE) ?? "";
      const bearer = around.variable(TOKEN_VARIABLE) ?? "";
      if (base === "" || bearer === "") {
        throw new SourceFailure(
          `${URL_VARIABLE} or ${TOKEN_VARIABLE} is not set: the workflow needs ` +
            "permissions: id-token: write",
        );
      }
      const url = new URL(base);
      url.searchParams.set("audience", audience);
      const headers = { authorization: `Bearer ${bearer}`, accept: "application/json" };
      const answer = await fetchText(url.href, headers, TIMEOUT_MS, around, signal);
      if (answer.status !== 200) throw new SourceFailure(`GitHub answered ${answer.status}`);
      const token = valueOf(answer.text);
      if (token === null) throw new SourceFailure("GitHub's answer has no `value`");
      return token;
    },
  };
}

function valueOf(text: string): string | null {
  try {
    const fields = fieldsOf(JSON.parse(text));
    return fields === null ? null : textIn(fields, "value");
  } catch {
    return null;
  }
}
