-- How far each registration has come, for the page on which the person watches it. Two projections write it: queued_at
-- is of the one that follows the commands to send mail, everything else of the one that follows identities. Whichever
-- comes first makes the row. The row changes a few times within seconds: the room on its page keeps the new versions
-- beside the old ones (HOT).

-- migrate:up
CREATE TABLE registrations (
  user_id uuid PRIMARY KEY,
  email text NOT NULL DEFAULT '',
  registered_at timestamptz,
  queued_at timestamptz,
  sent_at timestamptz,
  confirmed_at timestamptz,
  failed_reason text NOT NULL DEFAULT '',
  rejected_reason text NOT NULL DEFAULT ''
) WITH (fillfactor = 60);

-- migrate:down
DROP TABLE registrations;
