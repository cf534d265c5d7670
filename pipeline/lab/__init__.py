"""The experiments of the source texts, recomputed: `dartboard lab`."""
