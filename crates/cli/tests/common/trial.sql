-- As `pg_dump` writes it, with what is hard: NULL, empty, quotes, backslashes, tabs, other scripts, extremes.
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

CREATE TABLE person (
    person_id integer PRIMARY KEY,
    national_number bigint NOT NULL UNIQUE,
    family_name text NOT NULL,
    nickname varchar(20),
    shoe_size smallint,
    age integer,
    account bigint,
    balance numeric(10,2),
    income numeric(10,2),
    active boolean,
    born date,
    last_seen timestamp,
    signed_at timestamptz,
    token uuid,
    town text,
    score integer
);

CREATE TABLE permit (
    permit_id integer PRIMARY KEY,
    national_number bigint,
    kind text NOT NULL,
    remark text
);

CREATE TABLE measure (
    measure_id integer PRIMARY KEY,
    ratio real,
    weight double precision,
    dose real UNIQUE,
    mass double precision,
    code character(5),
    initials char(3) NOT NULL UNIQUE,
    scan bytea,
    digest bytea,
    wake time without time zone,
    slot time
);

CREATE TABLE file (
    file_id integer PRIMARY KEY,
    raw json,
    facts jsonb,
    stay interval,
    seen_from inet,
    login_from inet,
    network cidr
);

CREATE TABLE street (street_id integer PRIMARY KEY, name text NOT NULL, length_m integer);

-- pgbench makes these anew.
CREATE TABLE pgbench_accounts (aid integer);
CREATE TABLE pgbench_branches (bid integer);
CREATE TABLE pgbench_tellers (tid integer);
CREATE TABLE pgbench_history (tid integer);

COPY public.person FROM stdin;
1	85073003328	Peeters	jan	43	41	1000000001	12.50	2500.00	t	1985-07-30	2024-02-29 23:59:59.999999	2024-03-31 03:00:00+02	5f1c2a34-0000-4000-8000-000000000001	Gent	10
2	90010112345	O'Hara "Lee"	lee	38	35	1000000002	0.00	0.01	f	1990-01-01	2024-01-01 00:00:00	2024-10-27 02:30:00+01	5f1c2a34-0000-4000-8000-000000000002	Gent	20
3	72123198765	Van den Bossche	jan	41	52	-5	-12.50	-2500.75	t	1972-12-31	1999-12-31 12:00:00.5	1970-01-01 01:00:00+01	5f1c2a34-0000-4000-8000-000000000003	Aalst	30
4	61020212121	王秀英	秀英	36	63	9223372036854775807	99999999.99	99999999.99	f	1961-02-02	0001-01-01 00:00:00	2024-06-01 14:00:00+02	5f1c2a34-0000-4000-8000-000000000004	Aalst	\N
5	01020312345	Çelik-Şükran	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
6	55050555555			-32768	-2147483648	-9223372036854775808	-99999999.99	-99999999.99	t	4713-01-01 BC	294276-12-31 23:59:59.999999	2024-06-01 14:00:00+02	00000000-0000-0000-0000-000000000000	Brugge	60
7	44040444444	back\\slash\ttab\nline	x\\y	32767	2147483647	0	1.10	1.10	t	5874897-12-31	infinity	infinity	ffffffff-ffff-ffff-ffff-ffffffffffff	Brugge	70
8	33030333333	🦊 fox & Ωmega	fox	0	0	1	1.1	1.1	f	-infinity	-infinity	-infinity	5f1c2a34-0000-4000-8000-000000000008	Gent	80
9	22020222222	De Smet	lee	40	35	2	12.5	12.5	t	1990-01-01	2024-01-01 00:00:00	2024-06-01 14:00:00+02	5f1c2a34-0000-4000-8000-000000000009	Gent	90
10	11010111111	Peeters	ann	39	41	3	7.00	7	f	1985-07-30	2024-01-01 00:00:00	2024-06-01 14:00:00+02	5f1c2a34-0000-4000-8000-00000000000a	Mons	10
\.

COPY public.permit (permit_id, national_number, kind, remark) FROM stdin;
1	85073003328	work	first remark
2	85073003328	stay	\N
3	90010112345	work	second remark
4	44040444444	stay	\\N is not null
5	\N	work	nobody's
6	99999999999	work	unknown person
\.

COPY measure FROM stdin;
1	1.5	0.1	2.5	0.1	abc	jp	\\x00ff	\\x6a616e	07:30:00	12:00:00
2	-0	-1e-300	0.1	1e+300	abc  	lee	\\x	\\x	23:59:59.999999	00:00:00
3	NaN	Infinity	NaN	-Infinity	     	x	Jan \\\\ \\001	\\x00	24:00:00	24:00:00
4	\N	\N	\N	\N	\N	é€😀	\N	\N	\N	\N
5	16777216	123456789012345680	3.4028235e+38	5e-324	Zoë é		\\xdeadbeef	\\xDEAD BEEF	00:00	07:30
\.

COPY file FROM stdin;
1	{"b" : 1.50, "a":[] }	{"bb":1.50, "a":[1,2 , {"z":null}],"bb":2e2}	1 year 2 mons 3 days 04:05:06.789	192.168.1.5/24	10.0.0.1	10.0.0.0/8
2	"caf\\u00e9"	"caf\\u00e9 \\ud83d\\ude00 \\t \\" \\\\ / \\u001f"	-1 mons +2 days -00:00:00.5	2001:DB8:0:0:0:0:0:1	::ffff:1.2.3.4	2001:db8::/32
3	 null 	 null 	00:00:00	10.0.0.1	10.0.0.1/32	1.2.3.4
4	\N	\N	\N	\N	\N	\N
5	[]	{}	P1Y2M3DT4H5M6.7S	::/0	10.0.0.1/8	::/0
\.

INSERT INTO street VALUES (1, 'Veldstraat', 300), (2, 'Rue Neuve', 750), (3, 'Langemunt', 250);
