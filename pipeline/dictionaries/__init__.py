"""Dictionaries: one class for all kinds, random, data-driven or trained; one file for each way of making one."""

from pipeline.dictionaries.codes import Codes
from pipeline.dictionaries.dictionary import Dictionary

__all__ = ["Codes", "Dictionary"]
