#!/usr/bin/env bash
# One customer owns a third of all rows: does the memory limit hold? `just bench-skew`, or benches/skew.sh [ROWS] [MEMORY].
#
# Linux; needs python3. Prints wall and CPU seconds and the peak of resident memory of a full build and of the night
# after, with that customer and, to compare, without (one in 0). Environment: BENCH_DIR and BENCH_BIN, as for benches/nightly.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

rows=${1:-2000000}
memory=${2:-512MiB}
target=${CARGO_TARGET_DIR:-target}
bench=${BENCH_DIR:-$target/bench}
if [ -z "${BENCH_BIN:-}" ]; then
    cargo build --release --locked
    BENCH_BIN=$target/release/bazgasht
fi
mkdir -p "$bench"
results=$bench/skew.tsv
: >"$results"
for one_in in 3 0; do
    shop=$bench/skew-$rows-$one_in
    rm -rf "$shop"
    python3 benches/skew.py "$shop" "$rows" "$memory" "$one_in"
    for as_of in 2025-12-27 2025-12-28; do
        python3 benches/measure.py "$results" "one in $one_in" "$as_of" "$BENCH_BIN" --config "$shop/bazgasht.toml" run --as-of "$as_of"
    done
done
printf 'the one customer\tas of\twall s\tCPU s\tpeak MiB\tread MiB\twritten MiB\n'
cat "$results"
