-- What a new server is begun with, beside the database that POSTGRES_DB names.
CREATE DATABASE message_store;
