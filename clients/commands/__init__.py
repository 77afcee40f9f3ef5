"""The commands of the command line, one module for each group; a module is loaded when its command is used."""
