-- What version 5 of the store adds for arrivals (`PRAGMA user_version`): in the rows of traces and log records they are 0
-- from then on.

-- What each write brought. A row goes when nothing of it is left.
CREATE TABLE batch (
  id INTEGER PRIMARY KEY,
  arrival INTEGER NOT NULL,
  first_trace_key INTEGER,             -- NULL where it brought no trace that was not there
  last_trace_key INTEGER,
  first_log_id INTEGER,                -- NULL where it brought no log record
  last_log_id INTEGER
);
CREATE INDEX batch_arrival ON batch (arrival);

INSERT INTO batch (arrival, first_trace_key, last_trace_key)
  SELECT arrival, min(key), max(key) FROM trace GROUP BY arrival;
INSERT INTO batch (arrival, first_log_id, last_log_id)
  SELECT arrival, min(id), max(id) FROM log GROUP BY arrival;
DROP INDEX IF EXISTS trace_arrival;
DROP INDEX IF EXISTS log_arrival;
