"""How far the pipeline is from this machine's limit: `make bench`, or `python -m pipeline.bench`."""
