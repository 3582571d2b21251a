-- What came of each thing that a person asked for a video: the last event of its trace. value is the name, description
-- or visibility that the event is about.

-- migrate:up
CREATE TABLE video_operations (
  trace_id uuid PRIMARY KEY,
  video_id uuid NOT NULL,
  user_id uuid,
  outcome text NOT NULL,
  reason text NOT NULL,
  value text NOT NULL,
  at timestamptz NOT NULL
);

-- migrate:down
DROP TABLE video_operations;
