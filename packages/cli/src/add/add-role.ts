import { stringify } from "yaml";
import { z } from "zod";
import type { JsonSchema } from "@mayfly/spec";
import { backendAnswer, putRoleAnswer, rawAnswer, readAnswer } from "../api/answers.ts";
import { rolePath } from "../commands/role-path.ts";
import { filedAnswer } from "../prompts/answer.ts";
import type { Session } from "../session.ts";
import { addObject, answeringOf, isForFile, refuseKnown, type AddOptions } from "./add-object.ts";

const fileSchema = z.looseObject({
  properties: z.record(z.string(), z.json()),
  required: z.array(z.string()),
});

/** Adds a role: what all roles say, and what those of its backend's type say beside it. */
export async function addRole(session: Session, name: string, options: AddOptions): Promise<void> {
  const path = rolePath(name);
  const [backend = ""] = name.split("/");
  const answering = await answeringOf(session, options);
  const api = session.api();
  const { type } = rawAnswer(
    backendAnswer,
    await api.get(`/v1/backends/${encodeURIComponent(backend)}`),
  );
  const file = `/schemas/role.${encodeURIComponent(type)}.json`;
  const schema = membersOf(rawAnswer(fileSchema, await api.get(file)));
  const called = `role ${name}`;
  if (!isForFile(options)) await refuseKnown(api, path, called);
  await addObject(
    session,
    api,
    {
      called,
      path,
      schema,
      consequence: "whoever the policies permit may be issued its credentials",
      beside: "",
      body: (members) => members,
      fileText: (members) =>
        `# yaml-language-server: $schema=${api.url}${file}\n` +
        stringify({ role: name, ...filedAnswer(members) }),
      tell: (answer) => {
        if (session.json) session.record(answer);
        else session.note(`${readAnswer(putRoleAnswer, answer).result}  ${called}`);
      },
    },
    answering,
    options,
  );
}

/** Without the name, which is given already. */
function membersOf({ properties, required }: z.infer<typeof fileSchema>): JsonSchema {
  const { role: _, ...members } = properties;
  return {
    type: "object",
    properties: members,
    required: required.filter((name) => name !== "role"),
    additionalProperties: false,
  };
}
