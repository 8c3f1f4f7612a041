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
  return `<!-- scenario: checkout -->
# Configuration

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
Each key is 32 random bytes in base64. The first ring, made once for all processes:

\`\`\`sh
key() { head -c 32 /dev/urandom | base64; }
(umask 077 && printf '{"version":1,"sealing":[{"id":"key-1","key":"%s"}],"root":[{"id":"root-1","key":"%s"}]}' \\
  "$(key)" "$(key)" > sealing-keys.json)
\`\`\`

To rotate a sealing key without downtime:

1. add the new key at the end of \`sealing\` and restart every process: all can open what it seals;
2. move it to the front and restart every process: all seal with it;
3. \`mayfly sealing reseal\` seals under it what older keys hold: revocation handles of leases that
   are not ended, backend configurations and signing keys;
4. take the old key away when \`mayfly sealing status\` says that nothing needs it.

Each step as it is done, and what may go wrong, is in
[the runbook](runbooks/sealing-key-rotation.md).

Root keys stay: a tag or fingerprint made under a root key that is gone can be verified by nobody.
`;
}
