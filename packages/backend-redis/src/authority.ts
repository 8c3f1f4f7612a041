import type { AuthorityStep } from "@mayfly/spec";

/** With names of an example; the page of the type shows the same and says what each is for. */
export const AUTHORITY: readonly AuthorityStep[] = [
  {
    what: "On every server, replicas too: Redis does not replicate users.",
    language: "sh",
    text: String.raw`redis-cli -p 7379 ACL SETUSER mayfly on '>choose-one' -@all \
  '+acl|setuser' '+acl|getuser' '+acl|deluser' '+acl|list' '+acl|save' '+acl|dryrun' \
  '+client|list' '+client|kill' '+client|setname' '+cluster|nodes'
redis-cli -p 7379 ACL SAVE
`,
  },
];
