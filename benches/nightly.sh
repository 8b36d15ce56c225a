#!/usr/bin/env bash
# What a night costs: `just bench-nightly`, or benches/nightly.sh [CUSTOMERS] [MONTHS].
#
# For the whole history and for its newer half: a full build as of the last day but one, the night with one
# more day, and the same night again. A copy of the full build also has its night without late data, since
# what comes late reopens earlier months, and law 1 makes them part of the night.
#
# Linux; needs python3, and disk for about three times the logs. Environment:
#   BENCH_DIR     where everything goes; the logs are kept there for the next time (target/bench)
#   BENCH_BIN     a bazgasht that is built already (by default a release build is made)
#   BENCH_MEMORY  [engine] memory_limit (2GiB)
set -euo pipefail
cd "$(dirname "$0")/.."

customers=${1:-1000000}
months=${2:-24}
target=${CARGO_TARGET_DIR:-target}
bench=${BENCH_DIR:-$target/bench}
memory=${BENCH_MEMORY:-2GiB}
# Without a day of their own, those of the second line are all there in both histories.
dated=(orders order_items interactions)
undated=(customers products campaigns subscriptions identities)

# Late in a month, when the open month is nearly at its most expensive.
last_day=2025-12-25
eve=2025-12-24

months_before() { date -d "$last_day -$1 months +1 day" +%F; }
days_through() { echo $((($(date -d "$last_day UTC" +%s) - $(date -d "$1 UTC" +%s)) / 86400 + 1)); }

say() { echo "$*" >&2; }

mkdir -p "$bench"
bench=$(cd "$bench" && pwd)
results=$bench/results.tsv
logs=$bench/logs-$customers-$months
: >"$results"

if [ -z "${BENCH_BIN:-}" ]; then
    say "building the release binary"
    cargo build --release --locked
    BENCH_BIN=$target/release/bazgasht
fi
bin=$(realpath "$BENCH_BIN")

generate() {
    if [ -e "$logs/complete" ]; then
        say "the logs of $customers customers over $months months are there already"
        return
    fi
    local first_day
    first_day=$(months_before "$months")
    say "generating $customers customers from $first_day through $last_day"
    rm -rf "$logs"
    "$bin" generate --customers "$customers" --first-day "$first_day" --days "$(days_through "$first_day")" \
        --seed 1 --format ndjson --out "$logs/raw" >"$bench/generated.json"
    mv "$bench/generated.json" "$logs/complete"
}

# The shop's own clock is 3:30 ahead of UTC all year, as Tehran's has been since 2022.
write_config() {
    cat >"$1/bazgasht.toml" <<TOML
[project]
name = "bench"
timezone = "Asia/Tehran"
calendar = "gregorian"
currency = "IRR"

[storage]
lake = "./lake"
marts = "./marts"
scratch = "./scratch"

[engine]
memory_limit = "$memory"
TOML
    local source
    for source in "${dated[@]}" "${undated[@]}"; do
        printf '\n[sources.%s]\nlocation = "./raw/%s"\n' "$source" "$source" >>"$1/bazgasht.toml"
    done
}

# A project over the days from $2 on; the last day's files wait in held/.
make_project() {
    local project=$1 first_day=$2 source folder day
    rm -rf "$project" "$project-on-time"
    mkdir -p "$project/scratch"
    for source in "${dated[@]}" "${undated[@]}"; do
        mkdir -p "$project/raw/$source" "$project/held/$source"
        for folder in "$logs/raw/$source"/dt=*; do
            day=${folder##*dt=}
            if [ "$day" = "$last_day" ]; then
                cp -al "$folder" "$project/held/$source/"
            elif [[ " ${undated[*]} " == *" $source "* || ! "$day" < "$first_day" ]]; then
                cp -al "$folder" "$project/raw/$source/"
            fi
        done
    done
    write_config "$project"
}

deliver() {
    local source
    for source in "${dated[@]}" "${undated[@]}"; do
        if [ -d "$2/$source" ]; then
            cp -al "$2/$source/." "$1/raw/$source/"
        fi
    done
}

measure() {
    local history=$1 run=$2 project=$3 as_of=$4
    say "$history months: $run"
    sync
    python3 benches/measure.py "$results" "$history" "$run" \
        "$bin" --config "$project/bazgasht.toml" run --as-of "$as_of"
}

nights() {
    local history=$1 project=$bench/project-$1
    make_project "$project" "$(months_before "$history")"
    measure "$history" "full build" "$project" "$eve"
    # Objects of the lake are never written in place, so links are as good as a copy.
    cp -al "$project" "$project-on-time"
    deliver "$project" "$project/held"
    measure "$history" "night" "$project" "$last_day"
    measure "$history" "same night again" "$project" "$last_day"
    python3 benches/on_time.py "${last_day%-*}" "$project/held" "$project-on-time/on-time"
    deliver "$project-on-time" "$project-on-time/on-time"
    measure "$history" "night, nothing late" "$project-on-time" "$last_day"
}

report() {
    echo "$customers customers, $months months, memory limit $memory; $(nproc) cores," \
        "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)," \
        "$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)"
    echo
    awk -F '\t' -v long="$months" -v short="$half" '
        BEGIN {
            printf "| %-6s | %-19s | %8s | %8s | %8s | %10s | %11s |\n",
                "months", "run", "wall s", "CPU s", "peak MiB", "read MiB", "written MiB"
            print "| ------ | ------------------- | -------: | -------: | -------: | ---------: | ----------: |"
        }
        {
            printf "| %6d | %-19s | %8.2f | %8.2f | %8.0f | %10.1f | %11.1f |\n", $1, $2, $3, $4, $5, $6, $7
            wall[$1, $2] = $3
        }
        END {
            print ""
            printf "full build / night, nothing late, %d months: %.1f (at least 10 expected)\n", long,
                wall[long, "full build"] / wall[long, "night, nothing late"]
            printf "full build / night, %d months: %.1f\n", long, wall[long, "full build"] / wall[long, "night"]
            if (short > 0)
                printf "night with %d months / with %d, nothing late: %.2f (at most 1.2 expected)\n", long, short,
                    wall[long, "night, nothing late"] / wall[short, "night, nothing late"]
            printf "same night again: %.2f s (under 1 expected)\n", wall[long, "same night again"]
        }' "$results"
}

half=$((months / 2))
generate
nights "$months"
if [ "$half" -gt 0 ]; then
    nights "$half"
fi
report
