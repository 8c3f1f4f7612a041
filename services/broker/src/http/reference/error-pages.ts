import { html } from "hono/html";
import { ERROR_CODES, type ErrorCode } from "@mayfly/spec";
import { oauthStatus } from "../problem.ts";
import { page, prose, type Html } from "./page-layout.ts";

const CODES = Object.keys(ERROR_CODES) as ErrorCode[];

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(ERROR_CODES, text);

/** All codes. */
export const errorListPage = (issuer: string): Promise<string> =>
  page(
    "Errors of Mayfly",
    contents(issuer),
    html`<h1>Errors</h1>
      <p>
        A code is stable: never renamed, and never used again for something else. Each answer has a
        <code>trace</code>, under which the broker&#39;s log has the cause.
      </p>
      ${CODES.map((code) => section(code, issuer))}`,
  );

/** What the \`type\` of a problem leads to. */
export const errorPage = (code: ErrorCode, issuer: string): Promise<string> =>
  page(
    `${code} – Mayfly`,
    contents(issuer),
    html`<h1>Error</h1>
      ${section(code, issuer)}`,
  );

const contents = (issuer: string): Html => html`
  <ul>
    <li><a href="${issuer}/docs">API reference</a></li>
    <li><a href="${issuer}/errors">All errors</a></li>
  </ul>
  <h2>Errors</h2>
  <ul>
    ${CODES.map((code) => html`<li><a href="${issuer}/errors/${code}">${code}</a></li>`)}
  </ul>
`;

const section = (code: ErrorCode, issuer: string): Html => {
  const { status, oauth, meaning, todo } = ERROR_CODES[code];
  return html`<section class="schema" id="${code}">
    <h3>
      <a href="${issuer}/errors/${code}"><code>${code}</code></a>
    </h3>
    <p>${prose(meaning)}</p>
    <p><b>What to do:</b> ${prose(todo)}</p>
    <p class="dim">
      Status ${status}; at <code>/token</code> the OAuth error <code>${oauth}</code> with
      ${oauthStatus(code)}.
    </p>
  </section>`;
};
