-- A protected column made plain text
ALTER TABLE person RENAME family_name TO family_name_real;
ALTER TABLE person ALTER family_name_real DROP NOT NULL;
ALTER TABLE person ADD family_name text DEFAULT 'Fake';
-- undo
ALTER TABLE person DROP family_name;
ALTER TABLE person RENAME family_name_real TO family_name;
