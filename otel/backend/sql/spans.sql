-- The tables of spans, which version 3 of the store adds (`PRAGMA user_version`) in place of `span_piece`, `segment` and
-- `segment_postings`: an older file keeps those until its traces have gone, and nothing writes to them any more.

-- Spans in the order of arrival, up to 128 in a row; see block.py.
CREATE TABLE IF NOT EXISTS span_block (
  id INTEGER PRIMARY KEY,              -- none comes again
  min_trace_key INTEGER NOT NULL,      -- a row goes when no trace between these two is left
  max_trace_key INTEGER NOT NULL,
  dictionary_id INTEGER NOT NULL,      -- 0: none
  body BLOB NOT NULL
);

-- Which blocks have spans of a trace, as far as its row does not say it: those that came first where they are many, and
-- all of a trace of versions 3 and 4.
CREATE TABLE IF NOT EXISTS trace_block (
  trace_key INTEGER NOT NULL,
  block_id INTEGER NOT NULL,
  PRIMARY KEY (trace_key, block_id)
) WITHOUT ROWID;

-- The search index of a few thousand spans that arrived one after the other; never changed once written.
CREATE TABLE IF NOT EXISTS span_segment (
  id INTEGER PRIMARY KEY,
  last_block_id INTEGER NOT NULL,      -- blocks past the newest segment's are indexed in memory only
  min_start INTEGER NOT NULL,
  max_start INTEGER NOT NULL,
  min_trace_key INTEGER NOT NULL,
  max_trace_key INTEGER NOT NULL,
  block_starts BLOB NOT NULL,          -- the number of each block's first span in the segment, uint16 each
  filter BLOB NOT NULL,                -- a bit for the lower 16 bits of each hash that occurs
  columns BLOB NOT NULL                -- start, duration, trace key and set of each span; see sealed_segment.py
);
CREATE TABLE IF NOT EXISTS span_postings (
  id INTEGER PRIMARY KEY,              -- segment id * 64 + the upper 6 bits of the hash
  body BLOB NOT NULL                   -- hashes of attributes, and which spans and sets have them; see sealed_segment.py
);
