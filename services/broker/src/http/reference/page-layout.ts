import { createHash } from "node:crypto";
import { html, raw } from "hono/html";

/** Safe to put into a page as it is. */
export type Html = ReturnType<typeof html>;

const STYLE = `
:root { color-scheme: light dark; --ink: #1d2330; --dim: #5a6272; --line: #d9dde5; --back: #fff;
  --soft: #f4f6f9; --link: #0b57b8; --get: #0b6b3a; --post: #0b57b8; --put: #8a5200;
  --delete: #a3222f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ef; --dim: #9aa4b5; --line: #333b49;
  --back: #14181f; --soft: #1c222c; --link: #7db4ff; --get: #6fd39c; --post: #7db4ff;
  --put: #e9b266; --delete: #ff8f98; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; color: var(--ink); background: var(--back); line-height: 1.5;
  font: 1rem/1.5 system-ui, sans-serif; }
a { color: var(--link); } a:focus-visible, summary:focus-visible { outline: 2px solid var(--link); }
.page { display: grid; grid-template-columns: minmax(0, 1fr); }
main { padding: 1rem 1.25rem 4rem; min-width: 0; max-width: 62rem; }
nav { padding: 1rem 1.25rem; background: var(--soft); border-bottom: 1px solid var(--line);
  font-size: .875rem; max-height: 15rem; overflow: auto; }
nav ul { list-style: none; margin: 0 0 .75rem; padding: 0; }
nav li { padding: .1rem 0; } nav h2 { margin: .5rem 0 .25rem; font-size: .875rem; }
nav a { text-decoration: none; } nav a:hover { text-decoration: underline; }
@media (min-width: 60rem) { .page { grid-template-columns: 19rem minmax(0, 1fr); }
  nav { position: sticky; top: 0; height: 100vh; max-height: none; border-bottom: 0;
    border-right: 1px solid var(--line); } main { padding: 1.5rem 2.5rem 6rem; } }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; } h2 { margin: 3rem 0 .5rem; font-size: 1.3rem; }
h3 { margin: 0 0 .25rem; font-size: 1.05rem; } h4 { margin: 1rem 0 .25rem; font-size: .9rem; }
section.operation, section.schema { padding: 1.25rem 0; border-top: 1px solid var(--line); }
code, pre { font: .85em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
.route { font: .95rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; margin: .25rem 0; }
.method { font-weight: 700; text-transform: uppercase; }
.get { color: var(--get); } .post { color: var(--post); } .put, .patch { color: var(--put); }
.delete { color: var(--delete); }
.dim, .who { color: var(--dim); font-size: .9rem; } p { margin: .4rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 600; color: var(--dim); } td:first-child { width: 30%; }
.must { color: var(--dim); font-size: .8rem; }
@media (max-width: 40rem) { table, tbody, tr, td { display: block; width: auto; }
  thead { display: none; }
  td { border: 0; padding: 0 0 .15rem; } td:first-child { width: auto; } tr { padding: .4rem 0;
  border-top: 1px solid var(--line); } }
details { margin: .25rem 0; } summary { cursor: pointer; }
`;

/** Not in a template: its hash counts each space. */
const STYLE_ELEMENT = raw(`<style>${STYLE}</style>`);

/**
 * No script, no other origin, no other style than ours by its hash: what a broker answers to a
 * browser can run nothing.
 */
const CSP =
  `default-src 'none'; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'; ` +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export const PAGE_HEADERS = {
  "Content-Type": "text/html; charset=utf-8",
  "Content-Security-Policy": CSP,
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
} as const;

/** A whole page. */
export const page = async (title: string, nav: Html, main: Html): Promise<string> =>
  String(
    await html`<!doctype html>
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <title>${title}</title>
          ${STYLE_ELEMENT}
        </head>
        <body>
          <div class="page">
            <nav aria-label="Contents">${nav}</nav>
            <main>${main}</main>
          </div>
        </body>
      </html>`,
  );

/** Text with \`code\` in it, as messages and descriptions write it. */
export const prose = (text: string): Html =>
  html`${text.split("`").map((part, n) => (n % 2 === 0 ? part : html`<code>${part}</code>`))}`;
