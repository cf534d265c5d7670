"""Dictionaries: one class for all kinds, random, data-driven or trained; one file for each way of making one."""

from pipeline.dictionaries.dictionary import Codes, Dictionary

__all__ = ["Codes", "Dictionary"]
