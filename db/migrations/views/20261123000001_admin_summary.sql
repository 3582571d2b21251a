-- What there is in the message store, counted: the lists of the admin portal. Names are compared byte by byte, because
-- a name may be any text. The key of a type is derived from its name, which may be longer than an index allows.

-- migrate:up
CREATE TABLE admin_streams (
  stream text COLLATE "C" PRIMARY KEY,
  category text COLLATE "C" NOT NULL,
  messages bigint NOT NULL,
  last_type text NOT NULL,
  last_position bigint NOT NULL,
  last_at timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX admin_streams_newest_first ON admin_streams (last_position DESC);
CREATE INDEX admin_streams_of_category ON admin_streams ("left"(category, 200), last_position);

CREATE TABLE admin_categories (
  category text COLLATE "C" PRIMARY KEY,
  streams bigint NOT NULL,
  messages bigint NOT NULL,
  last_position bigint NOT NULL,
  last_at timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE admin_types (
  key uuid PRIMARY KEY,
  type text COLLATE "C" NOT NULL,
  category text COLLATE "C" NOT NULL,
  schema_version integer NOT NULL,
  messages bigint NOT NULL,
  last_position bigint NOT NULL,
  last_at timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE admin_users (
  user_id uuid PRIMARY KEY,
  registered_at timestamptz,
  registered_position bigint,
  messages bigint NOT NULL,
  viewings bigint NOT NULL,
  sign_ins bigint NOT NULL,
  last_at timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX admin_users_newest_first ON admin_users (registered_position DESC) WHERE registered_position IS NOT NULL;

-- migrate:down
DROP TABLE admin_users;
DROP TABLE admin_types;
DROP TABLE admin_categories;
DROP TABLE admin_streams;
