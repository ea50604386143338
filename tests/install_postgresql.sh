#!/usr/bin/env bash
# Print the folder of PostgreSQL's programs, installed from Debian's packages when they are missing.
# Exit code 1, with the reason on stderr, where that is not possible.
set -euo pipefail

found() {
  local programs=(/usr/lib/postgresql/*/bin/initdb)
  if [ -x "${programs[-1]}" ]; then dirname "${programs[-1]}"; return 0; fi
  return 1
}

found && exit 0
if ! command -v apt-get >/dev/null; then
  echo "PostgreSQL is not installed and there is no apt-get to install it with" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "PostgreSQL is not installed, and installing it takes root: apt-get install postgresql" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# No server of Debian's own: the tests start theirs.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
  echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql; } >"$log" 2>&1; then
  echo "PostgreSQL cannot be installed from Debian's packages: $(tail -n 1 "$log")" >&2
  exit 1
fi
found
