-- A plain table of the same name in the schema of the role's name
CREATE SCHEMA drieslot_gateway;
GRANT ALL ON SCHEMA drieslot_gateway TO PUBLIC;
CREATE TABLE drieslot_gateway.person (person_id int, national_number text, family_name text, nickname text, shoe_size text, age text, account text, balance text,
    income text, active text, born text, last_seen text, signed_at text, token text, town text, score int);
GRANT ALL ON drieslot_gateway.person TO PUBLIC;
-- undo
DROP SCHEMA drieslot_gateway CASCADE;
