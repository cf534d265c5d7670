"""dartboard's web app: browse features, rate them blind, export. Needs neither torch nor transformers."""

__version__ = "0.1.0"
