INSERT INTO person (person_id, national_number, family_name, nickname, account, balance, income, last_seen, signed_at, token, town)
     VALUES (901, 8123456789012345671, 'CANARY-7f3a-Vandenbossche', 'CANARY-nick-41d8', 7654321098765432109, 83746152.93, 71625349.87,
             '2019-03-07 11:42:13.618033', '2017-08-23 19:21:47.271828+02', 'd3adc0de-ca4a-4c4e-9a4e-5afe0bad1dea', 'Gent'),
            (902, 8123456789012345673, 'CANARY-Ωmega-91c2 神戸', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'Aalst');
INSERT INTO permit VALUES (901, 8123456789012345671, 'work', 'CANARY-remark-5be0 with more words after it');
UPDATE person SET family_name = 'CANARY-update-c0a7' WHERE nickname = 'CANARY-nick-41d8';
