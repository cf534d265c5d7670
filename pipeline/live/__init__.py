"""The worker behind `dartboard serve --live`: reads a text that somebody typed, as the build read its corpus.

    python -m pipeline.live --store DATA/features.sqlite

Every line of its standard input is a question in JSON, every line of its output an answer: docs/live.md has the form.
"""
