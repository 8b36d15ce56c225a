#!/usr/bin/env bash
# `just deploy-check`: whether what lies in deploy/ works, with the real tools as far as this machine has them.
#
# The Python packages of requirements.txt are installed outside the clone and kept for the next time. Environment:
#   BAZGASHT_BIN          a bazgasht that is built already (by default a debug build is made)
#   BAZGASHT_DEPLOY_VENV  the Python environment
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${BAZGASHT_DEPLOY_VENV:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/bazgasht-deploy-venv}
if ! cmp -s deploy/requirements.txt "$venv/requirements.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r deploy/requirements.txt
    cp deploy/requirements.txt "$venv/requirements.txt"
fi

if [ -z "${BAZGASHT_BIN:-}" ]; then
    cargo build --locked
    BAZGASHT_BIN=${CARGO_TARGET_DIR:-target}/debug/bazgasht
fi
export BAZGASHT_BIN
exec "$venv/bin/python" deploy/check.py "$@"
