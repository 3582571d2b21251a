-- What was written stays. Statement level, so that even a change that would touch no row is refused.

-- migrate:up
CREATE OR REPLACE FUNCTION message_store.refuse_change()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  RAISE EXCEPTION '% is refused: messages are only ever added', TG_OP
    USING ERRCODE = 'insufficient_privilege',
          HINT = 'Write a further message that says what changed.',
          SCHEMA = 'message_store',
          TABLE = 'messages';
END;
$$;

CREATE OR REPLACE TRIGGER refuse_change
  BEFORE UPDATE OR DELETE OR TRUNCATE ON message_store.messages
  FOR EACH STATEMENT EXECUTE FUNCTION message_store.refuse_change();

-- The restricted role of Message DB may read which migrations were applied, so that a program that runs as that
-- role starts without being able to change the schema.
GRANT SELECT ON message_store.applied_migrations TO message_store;

-- migrate:down
REVOKE SELECT ON message_store.applied_migrations FROM message_store;
DROP TRIGGER IF EXISTS refuse_change ON message_store.messages;
DROP FUNCTION IF EXISTS message_store.refuse_change();
