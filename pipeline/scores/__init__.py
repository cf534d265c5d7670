"""Scores that need no person: what can be measured of every feature's contexts, beside the same of random contexts."""
