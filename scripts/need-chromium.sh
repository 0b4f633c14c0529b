#!/usr/bin/env bash
# The gallery's tests drive a real browser. No Python package carries one, so it comes from the system's packages:
# installed here where that is possible, and asked for plainly where it is not (the tests then skip, and say so).
set -u
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing chromium for the browser tests"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } >/dev/null 2>&1 && exit 0
fi
echo "note: no Chromium here and no root to install it: the browser tests are skipped (apt-get install chromium)" >&2
exit 0
