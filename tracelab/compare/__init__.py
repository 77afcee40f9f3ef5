"""`lab compare`: from a question over a measurement to a verdict with a trace behind it."""
