#!/usr/bin/env bash
# `make run`: a mesh up, one example, the result on screen, the mesh down again.
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

.venv/bin/crystalmesh up --detach
echo
echo "\$ crystalmesh evaluate examples/*"
.venv/bin/crystalmesh evaluate examples/*
echo
echo "\$ crystalmesh relax examples/*"
.venv/bin/crystalmesh relax examples/*
echo
