-- What version 5 of the store adds for traces (`PRAGMA user_version`): rows of older versions stay as they are.

-- Which blocks have spans of a trace, those that came last; see trace_blocks.py.
ALTER TABLE trace ADD COLUMN blocks BLOB NOT NULL DEFAULT x'';
