-- Which messages of parked streams a projection left out because somebody decided so: stream → positions. Written where
-- the skip takes effect, so a rebuild leaves out the same ones and no others.

-- migrate:up
ALTER TABLE checkpoint ADD COLUMN skipped jsonb NOT NULL DEFAULT '{}';

-- migrate:down
ALTER TABLE checkpoint DROP COLUMN skipped;
