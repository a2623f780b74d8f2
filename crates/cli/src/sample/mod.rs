//! A made-up register of newcomers in an integration course: what a Belgian agency would hold, about nobody.
//!
//! Owns the deterministic generator and nothing else: the same seed gives the same people, on every machine.

mod names;
mod national_number;
mod people;
mod random;

pub(crate) use names::{COMMUNITIES, STREETS};
pub(crate) use people::{Newcomer, Permit, Result, Sample, generate};

/// The tables, as any application would create them: it knows of no protection.
pub(crate) const TABLES: &[&str] = &[
    "CREATE TABLE newcomers (
    newcomer_id integer PRIMARY KEY,
    national_number varchar(11) NOT NULL UNIQUE,
    last_name varchar(60) NOT NULL,
    first_name varchar(60) NOT NULL,
    name_in_own_script text,
    birth_date date NOT NULL,
    street varchar(80),
    postal_code varchar(10),
    municipality varchar(40),
    email varchar(80),
    contact_language varchar(30) NOT NULL,
    residence_status varchar(40) NOT NULL,
    enrolled_on date NOT NULL,
    note text
)",
    "CREATE TABLE course_results (
    result_id integer PRIMARY KEY,
    newcomer_id integer NOT NULL REFERENCES newcomers,
    course varchar(40) NOT NULL,
    level varchar(2),
    score numeric(4,1),
    passed boolean,
    taken_on date NOT NULL
)",
    "CREATE TABLE residence_permits (
    permit_id integer PRIMARY KEY,
    national_number varchar(11) NOT NULL,
    kind varchar(40) NOT NULL,
    valid_until date NOT NULL
)",
];
