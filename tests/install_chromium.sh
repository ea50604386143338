#!/usr/bin/env bash
# Print the path of Chromium, installed from Debian's packages when it is missing.
# Exit code 1, with the reason on stderr, where that is not possible.
set -euo pipefail

found() {
  for name in chromium chromium-browser; do
    if command -v "$name"; then return 0; fi
  done
  return 1
}

found && exit 0
if ! command -v apt-get >/dev/null; then
  echo "Chromium is not installed and there is no apt-get to install it with" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "Chromium is not installed, and installing it takes root: apt-get install chromium" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >"$log" 2>&1; then
  echo "Chromium cannot be installed from Debian's packages: $(tail -n 1 "$log")" >&2
  exit 1
fi
found
