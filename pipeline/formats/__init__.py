"""Dictionaries in the files of other libraries: read each as its own rule says, and write two of them.

What no rule covers is refused by name, with what was found and what is supported, and never guessed.
"""

from pipeline.formats.read import FORMATS, read
from pipeline.formats.saelens import write_saelens
from pipeline.formats.site import check_site
from pipeline.formats.sparsify import write_sparsify

__all__ = ["FORMATS", "check_site", "read", "write_saelens", "write_sparsify"]
