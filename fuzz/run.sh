#!/bin/bash
# Coverage-guided fuzzing of every decoder, on a stable toolchain and without cargo-fuzz (which works, too).
#
#   fuzz/run.sh [SECONDS] [TARGET...]    each target for so long (600), all of them by default; a failure stops it
#   fuzz/run.sh minimize [TARGET...]     keeps of each corpus what adds coverage, or is new since
#
# A finding is left in fuzz/artifacts/TARGET/; `fuzz/run.sh try TARGET FILE` tries it again. New inputs are gathered in
# fuzz/found/TARGET/, beside the committed ones in fuzz/corpus/. With TIDEGATE_CORPORA set to the folder of the
# conformance corpora those are inputs as well. FUZZ_ASAN=1 adds the address sanitizer.
set -euo pipefail
cd "$(dirname "$0")"

# No more than a generator needs to find its way through a decoder: half a second is the limit of an ordinary test.
bytes_max=8192
input_seconds_max=20
memory_mb_max=2048
# Of a corpus that is kept.
kept_bytes_max=300000

verb=run
seconds=600
case ${1:-} in
    minimize | try) verb=$1; shift ;;
    [0-9]*) seconds=$1; shift ;;
esac

host=$(rustc -vV | sed -n 's/^host: //p')
flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
flags+=" -Cllvm-args=-sanitizer-coverage-trace-compares"
if [ "${FUZZ_ASAN:-0}" = 1 ]; then
    flags+=" -Zsanitizer=address"
    export RUSTC_BOOTSTRAP=1
fi
# With a target named the flags are not for build scripts.
RUSTFLAGS="$flags" cargo build --release --locked --bins --target "$host"
built=${CARGO_TARGET_DIR:-target}/$host/release

target_all() { sed -n 's/^name = "\(.*\)"$/\1/p' Cargo.toml | grep -vx tidegate-fuzz; }

run() {
    "$built/$1" -max_len=$bytes_max -timeout=$input_seconds_max -rss_limit_mb=$memory_mb_max \
        -artifact_prefix="artifacts/$1/" "${@:2}"
}

if [ "$verb" = try ]; then
    mkdir -p "artifacts/$1"
    run "$@"
    exit
fi

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(target_all)
if [ -n "${TIDEGATE_CORPORA:-}" ]; then
    ./seeds.py "$TIDEGATE_CORPORA" found
fi
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "found/$target" "artifacts/$target"
    if [ "$verb" = minimize ]; then
        # Small ones come first and large ones add little: what is over the bound goes.
        mkdir -p "minimal/$target"
        run "$target" -set_cover_merge=1 "minimal/$target" "corpus/$target" "found/$target" 2>&1 | tail -n 1
        rm -f "corpus/$target"/*
        kept=0
        while read -r bytes file; do
            kept=$((kept + bytes))
            [ $kept -gt $kept_bytes_max ] || mv "$file" "corpus/$target/"
        done < <(find "minimal/$target" -type f -printf '%s %p\n' | sort -n)
        rm -rf "minimal/$target"
    else
        echo "== $target, $seconds s"
        run "$target" -max_total_time="$seconds" -print_final_stats=1 "found/$target" "corpus/$target" 2>&1 \
            | grep -v -E 'NEW|REDUCE|pulse' | tail -n 20
    fi
done
