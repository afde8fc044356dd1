#!/bin/bash
# Gives each decoder made-up bytes for so many seconds each (600 by default): the property tests of the decoders, with
# new seeds, as often as the time allows. A failure prints its input and stops.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
decoders=(wire::influx wire::remote_write wire::ndjson wire::vm_import wire::opentsdb bytes::json block:: http:: reader:: log::)

cargo test --locked --lib --no-run
for decoder in "${decoders[@]}"; do
    echo "== $decoder, $seconds s"
    end=$((SECONDS + seconds))
    rounds=0
    while [ "$SECONDS" -lt "$end" ]; do
        PROPTEST_CASES=5000 cargo test --locked --lib --quiet -- "$decoder" >/dev/null
        rounds=$((rounds + 1))
    done
    echo "$rounds rounds"
done
