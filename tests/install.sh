#!/usr/bin/env bash
# Print where a program of the tests is, installed from Debian's packages when it is missing:
#   tests/install.sh chromium     the browser
#   tests/install.sh postgresql   the folder of the server's programs
# Exit code 1, with the reason on stderr, where that is not possible.
set -euo pipefail

package=${1:-}
case $package in
  chromium)
    found() { command -v chromium || command -v chromium-browser; }
    ;;
  postgresql)
    found() {
      local programs=(/usr/lib/postgresql/*/bin/initdb)
      [ -x "${programs[-1]}" ] && dirname "${programs[-1]}"
    }
    ;;
  *)
    echo "usage: $0 chromium|postgresql" >&2
    exit 2
    ;;
esac

found && exit 0
if ! command -v apt-get >/dev/null; then
  echo "$package is not installed and there is no apt-get to install it with" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "$package is not installed, and installing it takes root: apt-get install $package" >&2
  exit 1
fi
if [ "$package" = postgresql ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
  # No server of Debian's own: the tests start theirs.
  mkdir -p /etc/postgresql-common
  echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
fi
# One at a time: tests that run side by side may need different packages.
exec 9<"${BASH_SOURCE[0]}"
flock 9
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$package"; } >"$log" 2>&1; then
  echo "$package cannot be installed from Debian's packages: $(tail -n 1 "$log")" >&2
  exit 1
fi
found
