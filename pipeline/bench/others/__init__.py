"""dartboard beside the tools that people use: `python -m pipeline.bench.others FOLDER`.

Each tool runs in an environment of its own, made in FOLDER with the versions in its requirements file here; dartboard imports
neither. All read the same random-init model, the same random top-k dictionary and the same text from FOLDER.
"""
