# What everyone needs: format, lints and tests, as a change must pass them.
default: check

# Format, lints and tests.
check:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings
    cargo test --locked

# All tests, or those whose names contain FILTER.
test *FILTER:
    cargo test --locked -- {{ FILTER }}

# The five laws over hundreds of random histories, a hundred deaths of the process, thousands of runs on failing stores. Takes long.
soak CASES="500":
    BAZGASHT_HISTORIES={{ CASES }} BAZGASHT_FAULTS=$(({{ CASES }} * 6)) BAZGASHT_KILLS=100 BAZGASHT_SOAK=1 cargo test --locked --test it -- laws killed faults

# What a night costs (release build; a million customers and two years by default). Not a test: it prints a table.
bench-nightly CUSTOMERS="1000000" MONTHS="24":
    benches/nightly.sh {{ CUSTOMERS }} {{ MONTHS }}

# What a hundred thousand known input objects cost a night (release build). Not a test: it prints a table.
bench-objects OBJECTS="100000":
    benches/objects.sh {{ OBJECTS }}

# A year of nights through the schedule, on a made-up clock, with late files and deaths (release build; hours). Checks
# that no row is lost, no mart torn, that the marts equal a full rebuild and that nights don't grow dearer; prints a table.
bench-year CUSTOMERS="50000" NIGHTS="365":
    cargo bench --locked --bench year -- --customers {{ CUSTOMERS }} --nights {{ NIGHTS }}

# A single file of so many MiB, streamed, with rows of so many bytes: memory must not grow with it (release build; disk
# for some 250 bytes a row).
big MIB="20480" ROW_BYTES="1024":
    BAZGASHT_BIG_MIB={{ MIB }} BAZGASHT_BIG_ROW_BYTES={{ ROW_BYTES }} cargo test --release --locked --test it -- --nocapture awkward::limits

# One customer owns a third of all rows: the peak of memory under a small limit. Not a test: it prints numbers.
bench-skew ROWS="2000000" MEMORY="512MiB":
    benches/skew.sh {{ ROWS }} {{ MEMORY }}

# A small shop, made up, run and summed up, in ./bazgasht-demo.
demo:
    cargo run --locked -- demo

# Arbitrary bytes for config, decoders, models and mappings, guided by coverage, so many seconds each (needs
# cargo-fuzz and a C++ compiler; the first time it compiles everything again, with that coverage).
fuzz SECONDS="60":
    cp Cargo.lock tests/fuzz/Cargo.lock
    for target in config decode model mapping; do \
        cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none --dev "$target" -- -max_total_time={{ SECONDS }} -timeout=10 -rss_limit_mb=4096 || exit 1; \
    done

# The dependencies' licences, sources and known vulnerabilities (needs cargo-deny and a network).
deny:
    cargo deny --locked check

# Write what is generated in docs/ anew, after a change of the config's types or of a mart.
docs:
    UPDATE_DOCS=1 cargo test --locked --test it schema

# pyarrow, polars and DuckDB open every mart (needs the Python packages of .ci/requirements.txt).
readers PYTHON="python3":
    BAZGASHT_TEST_PYTHON={{ PYTHON }} cargo test --locked --test it readers

# What lies in deploy/, with real Airflow, Dagster, S3 server, schema validators and systemd-analyze (from PyPI and as
# installed), and the program as BAZGASHT_BIN or built.
deploy-check *WHICH:
    deploy/check.sh {{ WHICH }}

# What CI runs, on this machine.
ci:
    bash .ci/run
