import { stringify } from "yaml";
import { NAME_PATTERNS } from "@mayfly/spec";
import { backendTypeAnswer, putBackendAnswer, rawAnswer, readAnswer } from "../api/answers.ts";
import { usageError } from "../cli-error.ts";
import { showCheck } from "../commands/show-check.ts";
import { filedAnswer } from "../prompts/answer.ts";
import type { Answering } from "../prompts/answering.ts";
import { checkAnswer } from "../prompts/check-answer.ts";
import type { Session } from "../session.ts";
import {
  addObject,
  answeringOf,
  isForFile,
  refuseKnown,
  type AddOptions,
  type NewObject,
} from "./add-object.ts";
import { authorityText } from "./authority-text.ts";

/** Adds a backend of a type, and shows the authority that it needs at the upstream. */
export async function addBackend(
  session: Session,
  type: string,
  name: string | null,
  options: AddOptions,
): Promise<void> {
  const answering = await answeringOf(session, options);
  const api = session.api();
  const typePath = `/v1/backend-types/${encodeURIComponent(type)}`;
  const known = rawAnswer(backendTypeAnswer, await api.get(typePath));
  const id = await answerName(name, answering);
  const path = `/v1/backends/${encodeURIComponent(id)}`;
  const called = `backend ${id}`;
  if (!isForFile(options) && id !== "") await refuseKnown(api, path, called);
  const object: NewObject = {
    called,
    path,
    schema: known.config,
    consequence: "credentials can be issued from it once it has roles",
    beside: authorityText(known.authority, session.paint),
    body: (config) => ({ type, config }),
    fileText: (config) =>
      // The first line is for editors.
      `# yaml-language-server: $schema=${api.url}/schemas/backend.${type}.json\n` +
      stringify({ backend: id, type, config: filedAnswer(config) }),
    tell: (answer) => {
      if (session.json) return session.record(answer);
      const { result, check } = readAnswer(putBackendAnswer, answer);
      session.note(`${result}  ${called}`);
      showCheck(session, check);
    },
  };
  await addObject(session, api, object, answering, options);
}

const NAME = {
  type: "string",
  pattern: NAME_PATTERNS.backend,
  patternErrorMessage: "expected a name like orders-db",
} as const;

/** Empty where it is missing, which is noted. */
async function answerName(name: string | null, answering: Answering): Promise<string> {
  if (name !== null) {
    const refused = checkAnswer(NAME, name);
    if (refused !== null) throw usageError("That is no name of a backend.", refused, "name");
    return name;
  }
  const description = "What the backend is called: the first part of its roles' names.";
  if (answering.prompts === null) {
    answering.missing.push({ path: "name", description, flag: "the argument after the type" });
    return "";
  }
  return answering.prompts.text({
    path: "name",
    ask: "name",
    about: description,
    standard: null,
    check: (text) => checkAnswer(NAME, text),
  });
}
