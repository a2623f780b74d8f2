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
