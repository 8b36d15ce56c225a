#!/usr/bin/env bash
# What many input objects cost once they are known: `just bench-objects`, or benches/objects.sh [OBJECTS].
#
# So many small files over five years, in a folder for each day, under a handful of models: the first night, the same
# night again, its plan, and the night with one more file.
#
# Linux; needs python3. Environment:
#   BENCH_DIR  where everything goes (target/bench)
#   BENCH_BIN  a bazgasht that is built already (by default a release build is made)
set -euo pipefail
cd "$(dirname "$0")/.."

objects=${1:-100000}
target=${CARGO_TARGET_DIR:-target}
mkdir -p "${BENCH_DIR:-$target/bench}"
bench=$(cd "${BENCH_DIR:-$target/bench}" && pwd)
results=$bench/objects.tsv
shop=$bench/objects-$objects

if [ -z "${BENCH_BIN:-}" ]; then
    echo "building the release binary" >&2
    cargo build --release --locked
    BENCH_BIN=$target/release/bazgasht
fi
bin=$(realpath "$BENCH_BIN")

rm -rf "$shop"
mkdir -p "$shop/sql/staging" "$shop/sql/intermediate" "$shop/sql/marts"
cp sql/staging/stg_identities.sql sql/staging/stg_orders.sql "$shop/sql/staging/"
cp tests/laws/sql/intermediate/ledger.sql tests/laws/sql/intermediate/state.sql "$shop/sql/intermediate/"
cp tests/laws/sql/marts/customers.sql tests/laws/sql/marts/monthly_sales.sql "$shop/sql/marts/"
cat >"$shop/bazgasht.toml" <<'TOML'
[project]
timezone = "Europe/London"
currency = "GBP"
[storage]
lake = "./lake"
marts = "./marts"
[models]
path = "./sql"
[sources.orders]
location = "./raw/**/*.ndjson"
TOML
python3 - "$shop/raw" "$objects" <<'PYTHON'
import datetime, json, pathlib, sys

raw, objects = pathlib.Path(sys.argv[1]), int(sys.argv[2])
for n in range(objects):
    day = datetime.date(2020, 1, 1) + datetime.timedelta(days=n % 1826)
    row = {"order_id": f"o{n}", "customer_id": f"c{n % 5000}", "ordered_at": f"{day}T12:00:00Z", "amount": n % 100 + 1}
    folder = raw / str(day)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{n:07}.ndjson").write_text(json.dumps(row) + "\n")
PYTHON

: >"$results"
night() {
    local name=$1
    shift
    (cd "$shop" && BAZGASHT_LOG=warn python3 "$OLDPWD/benches/measure.py" "$results" "$objects" "$name" "$bin" "$@")
}
night "first night" run --as-of 2024-12-30
night "the same again" run --as-of 2024-12-30
night "its plan" plan --as-of 2024-12-30
mkdir -p "$shop/raw/late"
echo '{"order_id":"late","customer_id":"c1","ordered_at":"2024-12-29T12:00:00Z","amount":1}' >"$shop/raw/late/late.ndjson"
night "one more object" run --as-of 2024-12-30

echo "| objects | night | wall s | CPU s | peak MiB | MiB read | MiB written |"
echo "| --- | --- | --- | --- | --- | --- | --- |"
while IFS=$'\t' read -r line; do
    echo "| ${line//$'\t'/ | } |"
done <"$results"
