#!/bin/sh
# Makes every password and key of compose.yaml, each of 32 random bytes, in secrets/ beside this
# script (or in the folder that is named), and .env if there is none. What is there is left as it is:
# a new sealing key would lock out what the old one sealed.
#
#   infra/compose/make-secrets.sh [FOLDER]
#
# Back up secrets/sealing-keys with the ledger, and apart from it.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
folder=${1:-$here/secrets}
umask 077
mkdir -p "$folder"

random() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }
# For a URL: no character that means something there.
password() { random | tr '+/' '-_' | tr -d '='; }
# Written beside its place and renamed: no reader sees half a secret. Never over one that is there.
make() {
  if [ -e "$folder/$1" ]; then return; fi
  cat > "$folder/.$1.draft"
  mv "$folder/.$1.draft" "$folder/$1"
}

for role in owner broker worker; do
  password | make "$role-password"
  printf 'postgres://mayfly_%s:%s@postgres:5432/mayfly' "$role" "$(cat "$folder/$role-password")" |
    make "$role-url"
done
password | make redis-password
printf 'requirepass %s\nmaxmemory-policy noeviction\nsave ""\nappendonly no\n' \
  "$(cat "$folder/redis-password")" | make redis-config
printf 'redis://:%s@redis:6379' "$(cat "$folder/redis-password")" | make redis-url
printf '{"version":1,"sealing":[{"id":"key-1","key":"%s"}],"root":[{"id":"root-1","key":"%s"}]}' \
  "$(random)" "$(random)" | make sealing-keys

if [ $# -eq 0 ] && [ ! -e "$here/.env" ]; then
  sed "s/^MAYFLY_USER=.*/MAYFLY_USER=$(id -u):$(id -g)/" "$here/env.example" > "$here/.env"
fi
echo "secrets are in $folder"
