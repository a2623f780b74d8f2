-- A view in the table's place
ALTER TABLE person RENAME TO person_real;
CREATE VIEW person AS SELECT person_id, 'Fake'::text AS family_name, '1'::text AS national_number,
    ''::text nickname, ''::text account, ''::text balance, ''::text income, ''::text last_seen, ''::text signed_at, ''::text token, town FROM person_real;
GRANT ALL ON person TO PUBLIC;
-- undo
DROP VIEW person;
ALTER TABLE person_real RENAME TO person;
