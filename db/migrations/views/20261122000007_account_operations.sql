-- What came of each thing that a person asked of their account: the last event of its trace.

-- migrate:up
CREATE TABLE account_operations (
  trace_id uuid PRIMARY KEY,
  user_id uuid NOT NULL,
  outcome text NOT NULL,
  reason text NOT NULL,
  at timestamptz NOT NULL
);

-- migrate:down
DROP TABLE account_operations;
