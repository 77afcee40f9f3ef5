-- Users, what each create with a request id asked for, and the one row that hands out positions.
CREATE TABLE users (
    user_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    name text NOT NULL,
    email text NOT NULL,
    create_time_unix_nano bigint NOT NULL,
    update_time_unix_nano bigint NOT NULL
);
CREATE TABLE requests (
    request_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    user_id text NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    create_time_unix_nano bigint NOT NULL
);
CREATE TABLE last_position (position bigint NOT NULL);
INSERT INTO last_position VALUES (0);
