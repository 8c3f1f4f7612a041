import { ALL_VARIABLES } from "./variable-names.ts";

/** The text of `docs/config.md`; a test compares it with the file. */
export function configPage(): string {
  const rows = ALL_VARIABLES.map((variable) => {
    const value =
      variable.defaultText === null
        ? variable.optional
          ? "not set"
          : "required"
        : `\`${variable.defaultText}\``;
    const name = variable.fileForm
      ? `\`${variable.name}\` or \`${variable.name}_FILE\``
      : `\`${variable.name}\``;
    return `| ${name} | ${value} | ${variable.readers.join(", ")} | ${variable.meaning} |`;
  });
  return `# Configuration

Every process is configured by environment variables alone. It validates them at start, reports all
problems at once, and refuses a \`MAYFLY_\` variable that does not exist. A secret may be given in a
file: the name with \`_FILE\` holds its path. Names with \`UNSAFE\` weaken a guarantee and are warned
of at each start.

\`migrate\` and \`cli\` are the \`mayfly\` command: at \`mayfly migrate\`, and everywhere else.

This page is generated from \`packages/settings/src/variables.ts\`, by
\`node packages/settings/src/write-config-page.ts\`.

| variable | default | read by | meaning |
| --- | --- | --- | --- |
${rows.join("\n")}

## Sealing keys

The key ring is JSON. \`sealing\` keys encrypt what must be stored; \`root\` keys make the keyed
fingerprints and tags. The first of each list is the current one, older ones only open and verify.
Each key is 32 random bytes in base64.

    {"version":1,"sealing":[{"id":"key-1","key":"…"}],"root":[{"id":"root-1","key":"…"}]}

To rotate: put a new key first in \`sealing\`, keep the old ones, restart every process. An old key
may go once nothing is sealed under it any more. Root keys stay: a tag or fingerprint made under a
root key that is gone can be verified by nobody.
`;
}
