-- The tables of metrics, which version 2 of the store adds (`PRAGMA user_version`). Times are nanoseconds since the epoch.

-- A metric of one resource and scope under one set of attributes.
CREATE TABLE IF NOT EXISTS metric_series (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,         -- of everything below but `seen`
  service_id INTEGER NOT NULL,
  resource_id INTEGER NOT NULL,
  scope_id INTEGER NOT NULL,
  header BLOB NOT NULL,                -- Metric without points
  attributes BLOB NOT NULL,            -- KeyValueList, by key
  seen INTEGER NOT NULL                -- when a point last came, to the hour
);

-- Ids grow in the order of arrival.
CREATE TABLE IF NOT EXISTS metric_point (
  id INTEGER PRIMARY KEY,
  arrival INTEGER NOT NULL,
  series_id INTEGER NOT NULL,
  time INTEGER NOT NULL,
  start INTEGER NOT NULL,
  point BLOB NOT NULL                  -- the data point without its attributes, exemplars included; see point_packing.py
);
-- The same point sent twice is stored once.
CREATE UNIQUE INDEX IF NOT EXISTS metric_point_series ON metric_point (series_id, time, start);

-- The points that have exemplars, so that these are found where a long time is told by few points.
CREATE TABLE IF NOT EXISTS metric_exemplar (
  point_id INTEGER PRIMARY KEY,
  series_id INTEGER NOT NULL,
  time INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS metric_exemplar_series ON metric_exemplar (series_id, time);
