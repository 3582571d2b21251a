-- Who can log in and how: the only table that holds hashes of passwords.
-- address is the e-mail address in the form that is the same for all ways to write it. It is null where nobody can log
-- in by it: data of another program may give two people one address, and then it is the first one's. Uniqueness is
-- checked when a statement ends, because one statement may move an address from one person to another.

-- migrate:up
CREATE TABLE user_credentials (
  user_id uuid PRIMARY KEY,
  email text NOT NULL,
  address text UNIQUE DEFERRABLE INITIALLY IMMEDIATE,
  password_hash text NOT NULL,
  confirmed boolean NOT NULL,
  pending_email text NOT NULL,
  roles text[] NOT NULL,
  generation bigint NOT NULL,
  kept_session text NOT NULL,
  registered_at timestamptz NOT NULL,
  password_changed_at timestamptz
);

-- migrate:down
DROP TABLE user_credentials;
