import type { AuthorityStep } from "@mayfly/spec";

/** With names of an example; the page of the type shows the same and says what each is for. */
export const AUTHORITY: readonly AuthorityStep[] = [
  {
    what: "With rabbitmqctl, on a node.",
    language: "sh",
    text: `rabbitmq-plugins enable rabbitmq_management
rabbitmqctl add_user mayfly 'choose-one'
rabbitmqctl set_user_tags mayfly administrator
`,
  },
  {
    what: "Or by the HTTP API, as an administrator that is there already.",
    language: "sh",
    text: String.raw`curl -fsS -u "$RABBITMQ_ADMIN" -X PUT "$RABBITMQ_URL/api/users/mayfly" \
  -H 'content-type: application/json' -d '{"password":"choose-one","tags":"administrator"}'
`,
  },
];
