#!/bin/sh
# Builds the tree that runs in production, out of a checkout: the packages that broker, worker and
# command consist of, without their tests, and their dependencies of the frozen lockfile without
# those of development. Node runs the sources as they are: they stand outside node_modules, so its
# type stripping takes them, and there is no compiled copy that could differ from what was tested.
#
#   infra/image/build-root.sh CHECKOUT TARGET
#
# Needs Node and pnpm on the PATH. TARGET must not exist; it appears whole or not at all.
set -eu
checkout=$(CDPATH='' cd -- "${1:?the checkout}" && pwd)
target=${2:?the folder to build}
if [ -e "$target" ]; then
  echo "build-root: $target exists already; name a folder that does not" >&2
  exit 1
fi
draft="$target.draft.$$"
trap 'rm -rf "$draft"' EXIT
mkdir -p "$draft"

# Manifests of every workspace package: the lockfile is of all of them, and frozen.
(
  cd "$checkout"
  for manifest in package.json pnpm-workspace.yaml pnpm-lock.yaml \
    packages/*/package.json services/*/package.json test/package.json; do
    mkdir -p "$draft/$(dirname "$manifest")"
    cp "$manifest" "$draft/$manifest"
  done
  cp -R patches migrations "$draft/"
)
(
  cd "$draft"
  pnpm install --frozen-lockfile --prod --ignore-scripts \
    --filter-prod '@mayfly/broker...' --filter-prod '@mayfly/worker...' \
    --filter-prod '@mayfly/cli...'
)

# Only what is needed by one of the three was given node_modules: the rest was only a manifest.
for folder in "$draft"/packages/* "$draft"/services/* "$draft/test"; do
  if [ ! -d "$folder/node_modules" ] && [ "$(basename "$folder")" != spec ]; then
    rm -rf "$folder"
    continue
  fi
  name=${folder#"$draft"/}
  (cd "$checkout/$name" && find src -type f -name '*.ts' \
    ! -name '*.test.ts' ! -name 'arbitrary-*' ! -path '*/testing/*' ! -path '*/__fixtures__/*' \
    ! -name 'write-*-page.ts') |
    while read -r file; do
      mkdir -p "$folder/$(dirname "$file")"
      cp "$checkout/$name/$file" "$folder/$file"
    done
done
# Of an installation only: nothing here installs again.
rm -f "$draft/pnpm-lock.yaml"
cp -R "$checkout/infra/image/bin" "$draft/bin"
chmod 755 "$draft"/bin/*
mv "$draft" "$target"
trap - EXIT
