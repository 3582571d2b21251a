-- How far each projection has come: position in its category, and version, which counts its transactions. The row
-- changes in the transaction that changes the view's rows.
-- Few rows, each rewritten all day long: mostly empty pages keep the new version beside the old one (HOT).

-- migrate:up
CREATE TABLE checkpoint (
  name text PRIMARY KEY,
  position bigint NOT NULL DEFAULT 0,
  version bigint NOT NULL DEFAULT 0,
  parked jsonb NOT NULL DEFAULT '{}',
  updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 20);

-- migrate:down
DROP TABLE checkpoint;
