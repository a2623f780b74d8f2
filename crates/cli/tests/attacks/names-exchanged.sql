-- A plain and a protected column exchange their names
ALTER TABLE person RENAME family_name TO name;
ALTER TABLE person RENAME town TO family_name;
ALTER TABLE person RENAME name TO town;
-- undo
ALTER TABLE person RENAME town TO name;
ALTER TABLE person RENAME family_name TO town;
ALTER TABLE person RENAME name TO family_name;
