-- What runs the system now: each process writes down every few seconds what it does, and takes its row with it when it
-- ends. One that died is known by when it was seen last.

-- migrate:up
CREATE TABLE process (
  id uuid PRIMARY KEY,
  host text NOT NULL,
  pid int NOT NULL,
  parts text NOT NULL,
  members int NOT NULL,
  active jsonb NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- migrate:down
DROP TABLE process;
