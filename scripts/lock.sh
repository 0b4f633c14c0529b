#!/usr/bin/env bash
# Writes requirements/: scripts/lock.sh UV, where UV is the program of that name. `make lock` calls it.
#   constraints.txt  what `make test` and `make demo` install within; without torch and what it brings
#   runtime.txt      the plain install, with hashes, for the Dockerfile
#   build.txt        what builds the wheel, with hashes
# The files name no index, so they hold for a mirror as well.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$1
compile() { "$uv" pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate "$@"; }
hashed() { compile --constraint requirements/constraints.txt --generate-hashes "$@"; }
made='# Made by `make lock`.'

all=$(compile --all-extras pyproject.toml)
{ echo "$made"; grep -vE '^(torch|torchvision|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==' <<<"$all"; } >requirements/constraints.txt
runtime=$(hashed pyproject.toml)
{ echo "$made"; echo "$runtime"; } >requirements/runtime.txt
build=$(echo hatchling | hashed -)
{ echo "$made"; echo "$build"; } >requirements/build.txt
