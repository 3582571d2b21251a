-- How often each video was watched, and the version of the projection's transaction that last changed the row. Nothing
-- but the key is indexed and pages are half empty, so that a count changes without touching an index (HOT).

-- migrate:up
CREATE TABLE view_counts (
  video_id uuid PRIMARY KEY,
  views bigint NOT NULL,
  version bigint NOT NULL
) WITH (fillfactor = 50);

-- migrate:down
DROP TABLE view_counts;
