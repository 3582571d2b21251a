-- The last rebuild of each projection, or of several that share a table: one that is under way, or how it ended. run
-- tells one from the next; wanted is what somebody asked of the process that is at it. The rows that are being made are
-- in a schema of their own.

-- migrate:up
CREATE TABLE rebuild (
  name text PRIMARY KEY,
  run uuid NOT NULL,
  phase text NOT NULL,
  wanted text NOT NULL DEFAULT '',
  started_by text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  position bigint NOT NULL DEFAULT 0,
  target bigint NOT NULL DEFAULT 0,
  messages bigint NOT NULL DEFAULT 0,
  rate double precision NOT NULL DEFAULT 0,
  seconds_left double precision,
  parked jsonb NOT NULL DEFAULT '{}',
  difference jsonb,
  error text NOT NULL DEFAULT ''
) WITH (fillfactor = 50);

-- migrate:down
DROP TABLE rebuild;
