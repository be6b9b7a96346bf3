#!/usr/bin/env bash
# `make run`: a mesh up, a question to it, the evidence on screen, the mesh down again.
set -euo pipefail
cd "$(dirname "$0")/.."

# A home of its own, so that a mesh of yours that runs already is left alone.
CRYSTALMESH_HOME=$(mktemp -d)
export CRYSTALMESH_HOME
stop() {
    .venv/bin/crystalmesh down || true
    rm -rf "$CRYSTALMESH_HOME"
}
trap stop EXIT

# Results of an earlier run are never written over.
mkdir -p build/run
RESULTS=build/run/$(date +%Y%m%d-%H%M%S)

.venv/bin/crystalmesh up --detach
echo
echo "\$ crystalmesh design \"a lithium oxide with a gap of 2-4 eV that is stable\" --hits 2 --into $RESULTS"
.venv/bin/crystalmesh design "a lithium oxide with a gap of 2-4 eV that is stable" --hits 2 --into "$RESULTS"
echo
echo "the report: $RESULTS/report.html"
