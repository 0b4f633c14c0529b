#!/usr/bin/env bash
# Some tests drive a real browser or a real Redis server. No Python package carries these, so they come from the system's
# packages: installed here where that is possible, and asked for plainly where it is not (the tests then skip, and say so).
set -u
has() { for name in "$@"; do command -v "$name" >/dev/null 2>&1 && return; done; return 1; }
packages=()
has chromium chromium-browser google-chrome || packages+=(chromium)
has redis-server || packages+=(redis-server)
[ ${#packages[@]} = 0 ] && exit 0
if [ "$(id -u)" = 0 ] && has apt-get; then
  echo "installing ${packages[*]} for the tests"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"; } >/dev/null 2>&1 && exit 0
fi
echo "note: no root to install ${packages[*]}: some tests are skipped (apt-get install ${packages[*]})" >&2
exit 0
