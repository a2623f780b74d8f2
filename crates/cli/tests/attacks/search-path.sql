-- A plain table of the same name in front, by the role's search_path
CREATE SCHEMA evil;
GRANT ALL ON SCHEMA evil TO PUBLIC;
CREATE TABLE evil.person (LIKE person);
GRANT ALL ON evil.person TO PUBLIC;
ALTER TABLE evil.person ALTER family_name TYPE text, ALTER nickname TYPE text, ALTER national_number TYPE text, ALTER token TYPE text;
ALTER ROLE drieslot_gateway SET search_path = evil, public;
-- undo
ALTER ROLE drieslot_gateway RESET search_path;
DROP SCHEMA evil CASCADE;
