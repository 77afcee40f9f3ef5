"""The commands of `lab`, a module for each, loaded when it is used; no other room imports one."""
