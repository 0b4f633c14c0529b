#!/usr/bin/env bash
# Starts the service on the example images, asks it about one, and serves on until Ctrl-C.
#   scripts/serve_demo.sh IMGTOOL [OPTION]...   IMGTOOL is the command; `make serve-demo` calls it
set -euo pipefail
imgtool=$1
shift
port=${PORT:-8000}
"$imgtool" serve --port "$port" --languages en --labels-model examples/models/image-kind.onnx --root examples/images "$@" &
service=$!
trap 'kill -TERM "$service" 2>/dev/null || true; wait "$service" || true' EXIT
until curl --silent --fail --output /dev/null "http://127.0.0.1:$port/readyz"; do
  kill -0 "$service" 2>/dev/null || exit 1
  sleep 0.2
done
ask=(curl --silent --show-error --fail-with-body -F file=@examples/images/receipt.jpg "http://127.0.0.1:$port/predict")
echo "+ ${ask[*]}"
"${ask[@]}"
echo
echo "Try it at http://127.0.0.1:$port/ ; Ctrl-C stops it."
[ -n "${ONCE:-}" ] || wait "$service"
