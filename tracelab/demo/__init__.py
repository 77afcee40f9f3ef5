"""`lab demo`: the run, what it runs on, its proof, and the diagnosis where a trace got lost."""
