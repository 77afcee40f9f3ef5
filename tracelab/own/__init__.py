"""Services that are not ours: called, run and traced as they are."""
