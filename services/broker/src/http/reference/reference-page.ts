import { html } from "hono/html";
import { ERROR_CODES } from "@mayfly/spec";
import { answersOauth, errorCodesOf, statusOf } from "../openapi/error-codes.ts";
import { documentPath, operationParameters } from "../openapi/document.ts";
import { collectJsonSchemas, type JsonSchemas } from "../openapi/json-schemas.ts";
import { TAGS, type Answer, type Operation, type Tag } from "../openapi/operation.ts";
import { page, prose, type Html } from "./page-layout.ts";
import { memberTable, parameterTable } from "./schema-rows.ts";

/**
 * The reference as one page that needs no script: of the same operations and schemas as the OpenAPI
 * document, in the same order.
 */
export async function referencePage(
  operations: readonly Operation[],
  issuer: string,
): Promise<string> {
  const schemas = collectJsonSchemas();
  const groups = TAG_NAMES.map((tag) => ({
    tag,
    operations: operations.filter((operation) => operation.tag === tag),
  }));
  const sections = groups.map(
    (group) =>
      html`<h2 id="${group.tag}">${heading(group.tag)}</h2>
        <p>${TAGS[group.tag]}</p>
        ${group.operations.map((operation) => operationSection(operation, schemas, issuer))}`,
  );
  const named = Object.entries(schemas.components).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return page(
    "Mayfly API",
    html`<h2>Mayfly API</h2>
      <ul>
        <li><a href="${issuer}/openapi.json">OpenAPI 3.1</a></li>
        <li><a href="${issuer}/errors">Errors</a></li>
      </ul>
      ${groups.map(
        (group) =>
          html`<h2>${heading(group.tag)}</h2>
            <ul>
              ${group.operations.map(({ id, summary }) => html`<li><a href="#${id}">${summary}</a></li>`)}
            </ul>`,
      )}
      <h2>Schemas</h2>
      <ul>
        ${named.map(([name]) => html`<li><a href="#schema-${name}">${name}</a></li>`)}
      </ul>`,
    html`<h1>Mayfly API</h1>
      ${introduction(issuer)} ${sections}
      <h2 id="schemas">Schemas</h2>
      ${named.map(
        ([name, schema]) =>
          html`<section class="schema" id="schema-${name}">
            <h3>${name}</h3>
            ${
              typeof schema["description"] === "string"
                ? html`<p>${prose(schema["description"])}</p>`
                : ""
            }
            ${memberTable(schema)}
          </section>`,
      )}`,
  );
}

const TAG_NAMES = Object.keys(TAGS) as Tag[];
const heading = (tag: Tag): string => `${tag.slice(0, 1).toUpperCase()}${tag.slice(1)}`;

const introduction = (issuer: string): Html => html`
  <p>This broker is <code>${issuer}</code>. All paths are below it.</p>
  <p>
    Requests are closed-world: an unknown member is refused by name. Durations are
    <code>15m</code> or whole seconds in requests, seconds in answers; instants are RFC 3339 in UTC.
    Answers may get further members in later versions: ignore what you do not know.
  </p>
  <p>
    A refusal says what was wrong, where, and what to do, with a stable <code>code</code> and a
    <code>trace</code> under which the broker&#39;s log has the cause. Any path that is not here
    answers <code>not_found</code>, any other method <code>method_not_allowed</code>.
  </p>
`;

const WHO = {
  anyone: "Anyone",
  subject: "Whoever proves an identity or holds a task token, in the form itself",
  client: "A client by its assertion in the form, or by the Authorization header",
  administrator: "An administrator",
  owner: "The task's holder, its workload, the owner of a task above it, or an administrator",
} as const satisfies Readonly<Record<Operation["caller"], string>>;

function operationSection(operation: Operation, schemas: JsonSchemas, issuer: string): Html {
  const { id, method, path, summary, description, caller, body } = operation;
  const parameters = operationParameters(operation, schemas);
  return html`<section class="operation" id="${id}">
    <h3>${summary}</h3>
    <p class="route"><span class="method ${method}">${method}</span> ${documentPath(path)}</p>
    <p class="who">${WHO[caller]}.</p>
    ${description === undefined ? "" : html`<p>${prose(description)}</p>`}
    ${(["path", "query", "header"] as const).map((place) => {
      const here = parameters.filter((parameter) => parameter.in === place);
      return here.length === 0
        ? ""
        : html`<h4>${PLACES[place]}</h4>
            ${parameterTable(here)}`;
    })}
    ${
      body === undefined
        ? ""
        : html`<h4>${body.kind === "form" ? "Form" : "Body"}</h4>
            ${memberTable(schemas.request(body.schema))}`
    }
    <h4>Answers</h4>
    ${answersOf(operation, schemas)} ${refusals(operation, issuer)}
  </section>`;
}

const answersOf = ({ answers }: Operation, schemas: JsonSchemas): readonly Html[] =>
  Object.entries(answers).map(([status, answer]) => answerText(status, answer, schemas));

const PLACES = { path: "Path", query: "Query", header: "Headers" } as const;

function answerText(status: string, answer: Answer, schemas: JsonSchemas): Html {
  const head = html`<p><b>${status}</b> ${prose(answer.what)}</p>`;
  switch (answer.kind) {
    case "json":
      return html`${head}
        <details>
          <summary>Members</summary>
          ${memberTable(schemas.answer(answer.schema))}
        </details>`;
    case "text":
      return html`${head}
        <p class="dim">${answer.mediaType}</p>`;
    case "empty":
      return head;
  }
}

const refusals = (operation: Operation, issuer: string): Html => html`
  <details>
    <summary>
      ${answersOauth(operation) ? "Refusals (OAuth errors)" : "Refusals (problems)"}
    </summary>
    <table>
      <tbody>
        ${errorCodesOf(operation).map(
          (code) =>
            html`<tr>
              <td>
                ${statusOf(operation, code)}
                <a href="${issuer}/errors/${code}"><code>${code}</code></a>
              </td>
              <td>${prose(ERROR_CODES[code].meaning)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </details>
`;
