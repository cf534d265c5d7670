#!/bin/sh
# Print the packages of one environment as requirements/lock.txt wants them: `freeze.sh PYTHON`; called by `make lock`.
#
# Left out: dartboard itself; local version labels (2.13.0+cpu is 2.13.0 elsewhere); the CUDA packages that torch brings
# on some machines and not on others.
set -eu
cat <<'EOF'
# Every package that dartboard runs, builds and is tested with: base, pipeline, analysis, parquet, wiki, postgresql, ray, lab, development.
# Made by `make lock`; edit pyproject.toml, not this file. Install it, then demo.txt and dartboard with --no-deps.
EOF
"$1" -m pip freeze --all --exclude dartboard --exclude pip 2>/dev/null | sed -E 's/\+[A-Za-z0-9.]+$//' | grep -Ev '^(nvidia|cuda|triton)'
