-- Tables of the benchmark: the same people once plain and once protected, and pgbench's four tables.
CREATE TABLE people_plain (
    id integer NOT NULL,
    national_number varchar(11) NOT NULL,
    last_name varchar(40) NOT NULL,
    birth_date date NOT NULL,
    city varchar(40) NOT NULL,
    status varchar(20) NOT NULL,
    score integer NOT NULL,
    registered timestamp NOT NULL
);
CREATE TABLE people (
    id integer NOT NULL,
    national_number varchar(11) NOT NULL,
    last_name varchar(40) NOT NULL,
    birth_date date NOT NULL,
    city varchar(40) NOT NULL,
    status varchar(20) NOT NULL,
    score integer NOT NULL,
    registered timestamp NOT NULL
);
CREATE INDEX people_plain_number ON people_plain (national_number);
CREATE INDEX people_number ON people (national_number);
-- For lookups by range and by search: the same people again.
CREATE TABLE found_plain (id integer NOT NULL, national_number varchar(11), last_name varchar(40), birth_date date);
CREATE TABLE found (id integer NOT NULL, national_number varchar(11), last_name varchar(40), birth_date date);
CREATE INDEX found_plain_number ON found_plain (national_number);
CREATE INDEX found_number ON found (national_number);
CREATE INDEX found_plain_born ON found_plain (birth_date);
CREATE INDEX found_born ON found (birth_date);
