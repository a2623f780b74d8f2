CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy');
CREATE TABLE parcel (
    id integer PRIMARY KEY,
    label text[],
    tags text[],
    codes varchar(5)[],
    marks char(3)[] NOT NULL,
    counts integer[],
    smalls int2[],
    bigs bigint ARRAY,
    prices numeric(10,2)[],
    rates numeric[],
    tokens uuid[],
    days date[],
    moments timestamptz[],
    spans interval[],
    files bytea[],
    docs jsonb[],
    hosts inet[],
    flags boolean[],
    reals real[]
);
CREATE TABLE sample (
    id integer PRIMARY KEY,
    ratio real,
    weight double precision,
    born date,
    seen timestamp,
    signed_at timestamptz,
    mood mood,
    hidden public.mood
);
INSERT INTO parcel (id, label, tags, marks) VALUES (1, '{plain}', '{first,"second one"}', '{a,b}');
INSERT INTO sample VALUES (1, 1.5, -0.1), (2, -2.5, 1e300), (3, 'NaN', 'Infinity'), (4, NULL, 'NaN'), (5, 0, 0), (6, 1e-40, 1e-320),
    (7, '-Infinity', '-Infinity'), (8, 1.5, 0.1);
