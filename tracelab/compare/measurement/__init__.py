"""How it is measured: processes, calls, and blocks of them in random order."""
