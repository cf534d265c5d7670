#!/bin/sh
# Check the formats against the libraries that they belong to, in both directions: tests/interop/run.sh [FOLDER]
#
# The libraries go into a virtual environment of their own at FOLDER (.venv-interop, if not given; made where it is not
# there), since they need versions of other packages than dartboard does.
set -eu
cd "$(dirname "$0")/../.."
folder=${1:-.venv-interop}

if [ ! -e "$folder/.installed" ]; then
	"${PYTHON:-python3}" -m venv "$folder"
	"$folder/bin/python" -m pip --disable-pip-version-check install --quiet -r tests/interop/requirements.txt
	touch "$folder/.installed"
fi
for check in saelens sparsify; do
	PYTHONPATH=. HF_HUB_OFFLINE=1 WANDB_MODE=disabled "$folder/bin/python" -W ignore -m "tests.interop.check_$check"
done
