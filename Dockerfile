# docker build -t bazgasht .
# docker run --rm -v "$PWD:/project" bazgasht run
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY pipeline pipeline
COPY sql sql
# Cargo reads the manifest as a whole, and it names the test and the benchmark.
COPY tests/main.rs tests/main.rs
COPY benches/year.rs benches/year.rs
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin bazgasht \
    && cp target/release/bazgasht /usr/local/bin/bazgasht

FROM debian:bookworm-slim
# The certificates are for S3 over TLS. Time zones are in the program.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home bazgasht \
    && install -d -o bazgasht -g bazgasht /project
COPY --from=build /usr/local/bin/bazgasht /usr/local/bin/bazgasht
COPY LICENSE /usr/share/doc/bazgasht/LICENSE
USER 10001:10001
WORKDIR /project
# Spilling and the largest input object need room here: mount a volume for more than the container's disk.
ENV TMPDIR=/tmp
ENTRYPOINT ["bazgasht"]
CMD ["--help"]
