#!/usr/bin/env bash
# Runs the tests that need no torch with each of Python 3.11 to 3.14 that is here: on PATH, of pyenv, or of uv.
# Arguments go to pytest; VERSIONS="3.12 3.13" chooses versions. `make test-pythons` calls it.
set -uo pipefail
cd "$(dirname "$0")/.."

find_python() { # VERSION: the path of an interpreter that runs and can make environments
  local candidate
  for candidate in "$(command -v "python$1")" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python \
    "$(command -v uv >/dev/null && uv python find --no-project "$1" 2>/dev/null)"; do
    "$candidate" -c "import ensurepip, sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null &&
      echo "$candidate" && return
  done
  return 1
}

passed=() failed=() missing=()
for version in ${VERSIONS:-3.11 3.12 3.13 3.14}; do
  if ! python=$(find_python "$version"); then
    missing+=("$version")
    continue
  fi
  echo "== Python $version: $python"
  if make --no-print-directory "PYTHON=$python" ".venv-$version/.complete" &&
    ".venv-$version/bin/python" -m pytest -q -n 2 -m "not slow and not browser" "$@"; then
    passed+=("$version")
  else
    failed+=("$version")
  fi
done
echo "passed: ${passed[*]:-none}; failed: ${failed[*]:-none}; not found: ${missing[*]:-none}"
[ "${#failed[@]}" = 0 ] && [ "${#passed[@]}" != 0 ]
