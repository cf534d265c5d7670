"""The analysis of studies against simulated studies whose truth is known, and against published results."""
