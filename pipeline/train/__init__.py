"""Training dictionaries: one loop; one small file for each family, which states its rule, loss and source."""
