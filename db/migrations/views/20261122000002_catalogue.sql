-- The lessons that are listed and watched. A row may exist before its video is published.
-- version is that of the projection's transaction that last changed the row.

-- migrate:up
CREATE TABLE catalogue (
  video_id uuid PRIMARY KEY,
  title text NOT NULL DEFAULT '',
  description text NOT NULL DEFAULT '',
  duration_ms bigint NOT NULL DEFAULT 0,
  source text NOT NULL DEFAULT '',
  poster text NOT NULL DEFAULT '',
  published_at timestamptz,
  published_position bigint,
  version bigint NOT NULL
);

CREATE INDEX catalogue_newest_first ON catalogue (published_position DESC) WHERE published_position IS NOT NULL;

-- migrate:down
DROP TABLE catalogue;
