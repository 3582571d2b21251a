-- Wakes whoever waits for messages: channel "messages", payload "<category> <global position>".
-- The payload carries no data. A category name may be long; 1,900 characters are at most 7,600 bytes, and from
-- 8,000 bytes on pg_notify would fail the write. A shortened name wakes nobody, which the poll makes good.

-- migrate:up
CREATE OR REPLACE FUNCTION message_store.notify_of_message()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  PERFORM pg_catalog.pg_notify(
    'messages',
    pg_catalog.concat(
      pg_catalog."left"(pg_catalog.split_part(NEW.stream_name, '-', 1), 1900),
      ' ',
      NEW.global_position
    )
  );

  RETURN NULL;
END;
$$;

CREATE OR REPLACE TRIGGER notify_of_message
  AFTER INSERT ON message_store.messages
  FOR EACH ROW EXECUTE FUNCTION message_store.notify_of_message();

-- migrate:down
DROP TRIGGER IF EXISTS notify_of_message ON message_store.messages;
DROP FUNCTION IF EXISTS message_store.notify_of_message();
