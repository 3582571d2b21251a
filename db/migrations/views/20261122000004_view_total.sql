-- The number of videos watched, in the one row that there may be. It is rewritten with every batch of views: a mostly
-- empty page keeps the new version beside the old one (HOT).

-- migrate:up
CREATE TABLE view_total (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  videos_watched bigint NOT NULL,
  version bigint NOT NULL
) WITH (fillfactor = 10);

-- migrate:down
DROP TABLE view_total;
