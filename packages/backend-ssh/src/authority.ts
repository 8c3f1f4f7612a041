import type { AuthorityStep } from "@mayfly/spec";

/** With names of an example; the page of the type shows the same and says what each is for. */
export const AUTHORITY: readonly AuthorityStep[] = [
  {
    what: "As root on each host, with mayfly-ssh-host of packages/backend-ssh/host.",
    language: "sh",
    text: String.raw`install -m 0755 mayfly-ssh-host /usr/local/sbin/
useradd --system --shell /bin/sh --create-home --home-dir /var/lib/mayfly mayfly
install -d /var/lib/mayfly-ssh
install -d -o mayfly /var/lib/mayfly-ssh/sessions
ssh-keygen -k -f /var/lib/mayfly-ssh/krl
printf '%s\n' 'mayfly ALL=(root) NOPASSWD: /usr/local/sbin/mayfly-ssh-host serve' \
  > /etc/sudoers.d/mayfly-ssh
install -d -o mayfly -m 0700 /var/lib/mayfly/.ssh
printf '%s\n' 'restrict,command="sudo -n /usr/local/sbin/mayfly-ssh-host serve" ssh-ed25519 AAAA…' \
  > /var/lib/mayfly/.ssh/authorized_keys
`,
  },
  {
    what: "In /etc/ssh/sshd_config.d/mayfly.conf of each host.",
    language: "text",
    text: `TrustedUserCAKeys /etc/ssh/mayfly-ca.pub
RevokedKeys /var/lib/mayfly-ssh/krl
AuthorizedPrincipalsCommand /usr/local/sbin/mayfly-ssh-host principals %i %u
AuthorizedPrincipalsCommandUser mayfly
`,
  },
  {
    what: "On each host, from a timer and as soon as it starts.",
    language: "sh",
    text: `authority="$MAYFLY_URL/backends/web-hosts/authority"
curl --silent --fail "$authority/ca.pub" --output /etc/ssh/mayfly-ca.new &&
  mv /etc/ssh/mayfly-ca.new /etc/ssh/mayfly-ca.pub
curl --silent --fail "$authority/revoked" | mayfly-ssh-host serve
`,
  },
];
