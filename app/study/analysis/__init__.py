"""Protocol in, tables in, figures and one sentence out: the analysis of a study, as pure functions over its export."""
