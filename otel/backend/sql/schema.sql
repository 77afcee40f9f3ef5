-- The tables that every version of the embedded backend's store has (`PRAGMA user_version`); metrics.sql and spans.sql
-- have the others.
-- Times are nanoseconds since the epoch.

CREATE TABLE service (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  seen INTEGER NOT NULL                -- when it was last seen to the hour, so that what has expired can be forgotten
);

-- Span names by service and kind. `name` is NULL for those past the bound on distinct names.
CREATE TABLE operation (
  id INTEGER PRIMARY KEY,
  service_id INTEGER NOT NULL,
  name TEXT,
  kind INTEGER NOT NULL,
  seen INTEGER NOT NULL
);

-- A resource or scope with its schema URL, stored once: spans and logs name it by id.
CREATE TABLE origin (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  is_scope INTEGER NOT NULL,
  body BLOB NOT NULL,                  -- ResourceSpans or ScopeSpans without spans
  seen INTEGER NOT NULL
);

-- One row per trace; keys grow in the order of arrival.
CREATE TABLE trace (
  key INTEGER PRIMARY KEY,
  trace_id BLOB NOT NULL UNIQUE,
  arrival INTEGER NOT NULL,            -- 0 from version 5 on: see batches.sql
  min_start INTEGER NOT NULL,
  max_end INTEGER NOT NULL,
  span_count INTEGER NOT NULL,
  error_count INTEGER NOT NULL,
  orphan_count INTEGER NOT NULL,
  root_start INTEGER,                  -- NULL while no span without a parent is known; 0: as min_start
  root_operation_id INTEGER,
  services BLOB NOT NULL               -- service id, span count, error count of each; see trace_services.py
);
CREATE INDEX trace_arrival ON trace (arrival);

CREATE TABLE compression_dictionary (
  id INTEGER PRIMARY KEY,
  body BLOB NOT NULL
);

CREATE TABLE log (
  id INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  arrival INTEGER NOT NULL,            -- 0 from version 5 on: see batches.sql
  trace_id BLOB,
  span_id BLOB,
  service_id INTEGER NOT NULL,
  severity INTEGER NOT NULL,
  resource_id INTEGER NOT NULL,
  scope_id INTEGER NOT NULL,
  fingerprint INTEGER NOT NULL UNIQUE, -- the same record sent twice has the same
  record BLOB NOT NULL
);
CREATE INDEX log_time ON log (time, id);
CREATE INDEX log_trace ON log (trace_id, time, id) WHERE trace_id IS NOT NULL;
CREATE INDEX log_arrival ON log (arrival);

-- The words of log records. It keeps no text of its own: that is made anew from the record when a row goes.
CREATE VIRTUAL TABLE log_text USING fts5 (
  text, content = '', columnsize = 0, tokenize = 'unicode61 remove_diacritics 0'
);
