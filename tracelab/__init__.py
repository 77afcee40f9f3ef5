"""The tool behind `./lab`: runs the stack, shows and compares traces, teaches. `clients/cli.py` is its door."""
