#!/usr/bin/env bash
# Create .venv with everything that running, testing and developing need, at the versions of constraints.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "setup: $*" >&2; exit 1; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3 python; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

python=$(find_python)
if [ -z "$python" ]; then
    found=$(command -v python3 >/dev/null && python3 --version 2>&1 || echo "none")
    fail "Python 3.11 or 3.12 is needed, found: $found (set PYTHON=/path/to/python to choose one)"
fi
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "$python has no venv module (on Debian: python3-venv)"

# torch from PyPI brings its CUDA libraries along, also where there is no GPU.
free_gib=$(df -Pk . | awk 'NR == 2 {print int($4 / 1048576)}')
if [ "$free_gib" -lt 9 ] && [ ! -d .venv ]; then
    fail "9 GiB of disk are needed, $free_gib GiB are free here"
fi

echo "setup: installing into .venv (about two minutes the first time)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
services=(services/*/pyproject.toml)
editable=(-e ".[materials,server,mcp,tracing,ray,dev]")
for service in "${services[@]}"; do editable+=(-e "./$(dirname "$service")"); done
pip_install() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$@" \
        || fail "installing failed; the lines above say why"
}
# Without isolation the build backends are installed once and not once a package: hatchling for ours, setuptools
# (of a version that needs no wheel package beside it) for those dependencies that come as sources.
pip_install hatchling editables setuptools
pip_install --no-build-isolation "${editable[@]}"
touch .venv/.crystalmesh-installed
