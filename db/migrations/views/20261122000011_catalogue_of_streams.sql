-- A video can be watched as a stream of renditions, before all of them are there, and not by everybody. state and
-- attempt say which events still count; published_at and published_position are null while a video cannot be watched.
-- The projection reads its messages again: they know the owners of the rows from before.

-- migrate:up
ALTER TABLE catalogue
  ADD COLUMN owner_id uuid,
  ADD COLUMN state text NOT NULL DEFAULT '',
  ADD COLUMN attempt integer NOT NULL DEFAULT 0,
  ADD COLUMN visibility text NOT NULL DEFAULT 'public',
  ADD COLUMN hls text NOT NULL DEFAULT '',
  ADD COLUMN storyboard text NOT NULL DEFAULT '',
  ADD COLUMN width integer NOT NULL DEFAULT 0,
  ADD COLUMN height integer NOT NULL DEFAULT 0,
  ADD COLUMN captions jsonb NOT NULL DEFAULT '[]',
  ADD COLUMN chapters text NOT NULL DEFAULT '';

UPDATE catalogue SET state = 'published' WHERE published_position IS NOT NULL;
UPDATE checkpoint SET position = 0 WHERE name = 'catalogue';

DROP INDEX catalogue_newest_first;
CREATE INDEX catalogue_newest_first ON catalogue (published_position DESC) WHERE published_position IS NOT NULL AND visibility = 'public';

-- migrate:down
DROP INDEX catalogue_newest_first;
DELETE FROM catalogue WHERE visibility <> 'public' OR state = 'deleted';
UPDATE catalogue SET published_at = NULL, published_position = NULL WHERE source = '';
ALTER TABLE catalogue
  DROP COLUMN owner_id, DROP COLUMN state, DROP COLUMN attempt, DROP COLUMN visibility, DROP COLUMN hls, DROP COLUMN storyboard,
  DROP COLUMN width, DROP COLUMN height, DROP COLUMN captions, DROP COLUMN chapters;
CREATE INDEX catalogue_newest_first ON catalogue (published_position DESC) WHERE published_position IS NOT NULL;
