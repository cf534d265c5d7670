"""dartboard's offline pipeline: corpus → activations → dictionaries → hits → feature store. Needs torch."""
