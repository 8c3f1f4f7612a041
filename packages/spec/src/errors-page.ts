import { ERROR_CODES } from "./errors.ts";

/** The text of `docs/errors.md`; a test compares it with the file. */
export function errorsPage(): string {
  const rows = Object.entries(ERROR_CODES).map(
    ([code, entry]) =>
      `| <a id="${code}"></a>\`${code}\` | ${entry.status} | \`${entry.oauth}\` | ${entry.meaning} | ${entry.todo} |`,
  );
  return `# Errors

Every error has a stable \`code\`, the same in the API, the command line and the log. Our own APIs
answer with RFC 9457 problem details and the status below; the token endpoint answers with an OAuth
error (RFC 6749 section 5.2) that carries the code beside \`error\`. Each answer has a \`trace\` id,
under which the log holds the cause. A code is never used again for something else.

This page is generated from \`packages/spec/src/errors.ts\` by \`node packages/spec/src/write-errors-page.ts\`.

| code | status | OAuth \`error\` | meaning | what to do |
| --- | --- | --- | --- | --- |
${rows.join("\n")}
`;
}
