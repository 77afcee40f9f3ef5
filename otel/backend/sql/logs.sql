-- What version 4 of the store adds for log records (`PRAGMA user_version`): records of older versions stay as they are.

-- What records were packed with; see log_packing.py.
CREATE TABLE IF NOT EXISTS log_dictionary (
  id INTEGER PRIMARY KEY,
  body BLOB NOT NULL
);
