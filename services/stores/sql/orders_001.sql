-- Orders, what each create with a request id asked for, and the one row that hands out positions.
CREATE TABLE orders (
    order_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    user_id text NOT NULL,
    amount_minor_units bigint NOT NULL,
    status smallint NOT NULL,
    note text NOT NULL,
    create_time_unix_nano bigint NOT NULL,
    update_time_unix_nano bigint NOT NULL
);
CREATE INDEX orders_of_user ON orders (user_id, position);
CREATE TABLE requests (
    request_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    order_id text NOT NULL,
    user_id text NOT NULL,
    amount_minor_units bigint NOT NULL,
    note text NOT NULL,
    create_time_unix_nano bigint NOT NULL
);
CREATE TABLE last_position (position bigint NOT NULL);
INSERT INTO last_position VALUES (0);
