import type { AuthorityStep } from "@mayfly/spec";

/** With names of an example; the page of the type shows the same and says what each is for. */
export const AUTHORITY: readonly AuthorityStep[] = [
  {
    what: "A policy for the broker's token; `mayfly backend test` prints what yours lacks, with your names.",
    language: "hcl",
    text: `path "auth/token/roles/mf_abcdefgh_*" {
  capabilities = ["create","read","update","delete"]
  allowed_parameters = {
    "allowed_policies" = ["db-reader","pki-agents"]
    "disallowed_policies_glob" = ["*"]
    "orphan" = []
    "path_suffix" = []
    "token_explicit_max_ttl" = []
    "renewable" = [false]
    "token_no_default_policy" = [true]
    "token_type" = ["service"]
  }
}
path "auth/token/roles" {
  capabilities = ["list"]
}
path "auth/token/create/mf_abcdefgh_*" {
  capabilities = ["update"]
}
path "auth/token/revoke-accessor" {
  capabilities = ["update"]
}
path "sys/leases/lookup/auth/token/create/" {
  capabilities = ["list","sudo"]
}
path "sys/leases/lookup/auth/token/create/mf_abcdefgh_*" {
  capabilities = ["list","sudo"]
}
path "sys/leases/revoke-prefix/auth/token/create/mf_abcdefgh_*" {
  capabilities = ["update","sudo"]
}
path "sys/leases/lookup" {
  capabilities = ["update"]
}
path "sys/leases" {
  capabilities = ["read","sudo"]
}
path "sys/leases/lookup/database/creds/reader/" {
  capabilities = ["list","sudo"]
}
path "sys/leases/revoke/database/creds/reader/*" {
  capabilities = ["update"]
}
path "pki/revoke" {
  capabilities = ["update"]
}
`,
  },
];
