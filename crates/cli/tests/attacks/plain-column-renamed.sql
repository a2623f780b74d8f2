-- A plain column renamed over a protected one
ALTER TABLE person RENAME family_name TO family_name_real;
ALTER TABLE person ALTER family_name_real DROP NOT NULL;
ALTER TABLE person RENAME town TO family_name;
ALTER TABLE person ADD town text;
-- undo
ALTER TABLE person DROP town;
ALTER TABLE person RENAME family_name TO town;
ALTER TABLE person RENAME family_name_real TO family_name;
