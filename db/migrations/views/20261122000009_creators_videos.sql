-- Each video as its owner sees it, from the beginning of its upload on. owner_id is null while only something beside it
-- is known, as a name. begun_at is null for what nobody is shown: an upload that was given up, and a deleted video,
-- whose row stays so that nothing that comes late makes it anew. attempt is the one that state is about. A row changes
-- many times while its video is published: the room on its page keeps the new versions beside the old ones (HOT).

-- migrate:up
CREATE TABLE creators_videos (
  video_id uuid PRIMARY KEY,
  owner_id uuid,
  title text NOT NULL,
  description text NOT NULL,
  state text NOT NULL,
  visibility text NOT NULL,
  file_name text NOT NULL,
  bytes bigint NOT NULL,
  reason text NOT NULL,
  attempt integer NOT NULL,
  duration_ms bigint NOT NULL,
  width integer NOT NULL,
  height integer NOT NULL,
  poster text NOT NULL,
  renditions text[] NOT NULL,
  captions jsonb NOT NULL,
  chapters text NOT NULL,
  begun_at timestamptz,
  published_at timestamptz
) WITH (fillfactor = 60);

CREATE INDEX creators_videos_newest_first ON creators_videos (owner_id, begun_at DESC, video_id) WHERE begun_at IS NOT NULL;

-- migrate:down
DROP TABLE creators_videos;
