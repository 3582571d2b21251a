-- When somebody logged in as a person, or tried to. id is the session's, which each request of the person is held
-- against; that of the message where no session began. at is null while only the end of a session is known.
-- A stranger can add failures without end: an index of its own keeps the few open sessions quick to find among them.

-- migrate:up
CREATE TABLE sign_ins (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL,
  at timestamptz,
  browser text NOT NULL,
  failed_reason text NOT NULL,
  ended_at timestamptz,
  ended_reason text NOT NULL
);

CREATE INDEX sign_ins_newest_first ON sign_ins (user_id, at DESC, id) WHERE at IS NOT NULL;

CREATE INDEX sign_ins_open ON sign_ins (user_id, at DESC) WHERE at IS NOT NULL AND ended_at IS NULL AND failed_reason = '';

-- migrate:down
DROP TABLE sign_ins;
