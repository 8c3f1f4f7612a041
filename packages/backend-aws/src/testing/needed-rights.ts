import type { ApiRequest } from "@mayfly/spec";
import { judge, type Asked } from "./evaluate.ts";
import { ACCOUNT } from "./moto-account.ts";

/**
 * Each right that AWS asks of whoever sends such a request: by its own name, and for tags and the
 * source identity of a session, which moto does not look at
 * (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html,
 * id_credentials_temp_control-access_monitor.html). IAM's requests name a role without its path.
 */
export function rightsFor({ body }: ApiRequest, path: string): readonly Asked[] {
  const form = new URLSearchParams(body ?? "");
  const action = form.get("Action") ?? "";
  // It needs no right: nobody can be denied it.
  if (action === "GetCallerIdentity") return [];
  if (action !== "AssumeRole") {
    const resource = `arn:aws:iam::${ACCOUNT}:role/${path}/${form.get("RoleName") ?? ""}`;
    return [{ action: `iam:${action}`, resource }];
  }
  const resource = form.get("RoleArn") ?? "";
  const source = form.get("SourceIdentity");
  const tags = tagsIn(form);
  return [
    { action: "sts:AssumeRole", resource },
    ...(tags.length === 0
      ? []
      : [{ action: "sts:TagSession", resource, context: contextOf(tags) }]),
    ...(source === null
      ? []
      : [{ action: "sts:SetSourceIdentity", resource, context: { "sts:SourceIdentity": source } }]),
  ];
}

type Tag = readonly [key: string, value: string];

function tagsIn(form: URLSearchParams): readonly Tag[] {
  const tags: Tag[] = [];
  for (let nth = 1; form.has(`Tags.member.${nth}.Key`); nth++) {
    const [key, value] = ["Key", "Value"].map((part) => form.get(`Tags.member.${nth}.${part}`));
    tags.push([key ?? "", value ?? ""]);
  }
  return tags;
}

const contextOf = (tags: readonly Tag[]): NonNullable<Asked["context"]> => ({
  "aws:TagKeys": tags.map(([key]) => key),
  ...Object.fromEntries(tags.map(([key, value]) => [`aws:RequestTag/${key}`, value])),
});

/** Policies of who asks and, for a role that is taken, of the role: its trust policy. */
export interface PrintedPolicies {
  readonly own: unknown;
  readonly trust: unknown;
}

/** Whether the role that the broker is, here of the name `mayfly`, has a right by them. */
export const isPermitted = (
  { action, resource, context = {} }: Asked,
  { own, trust }: PrintedPolicies,
): Promise<boolean> =>
  judge({
    request: {
      principal: `arn:aws:sts::${ACCOUNT}:assumed-role/mayfly/broker`,
      action,
      resource: { resource, accountId: ACCOUNT },
      contextVariables: { ...context },
    },
    identityPolicies: [{ name: "own", policy: own }],
    ...(action.startsWith("sts:") ? { resourcePolicy: trust } : {}),
  });
