//! SQL's PREPARE and EXECUTE, DECLARE and FETCH over protected columns, beside plain PostgreSQL on the same server.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::psql::{Said, run};
use common::session::code;
use common::{DATABASE, Trial, data};
use tokio::runtime::Runtime;

/// Each in a session of its own. Errors are compared by SQLSTATE.
const SAME: &[&str] = &[
    "PREPARE q AS SELECT family_name, age FROM person WHERE nickname = 'jan' ORDER BY person_id; EXECUTE q; EXECUTE q;",
    "PREPARE q (bigint) AS SELECT family_name FROM person WHERE national_number = $1;
     EXECUTE q (85073003328); EXECUTE q ('90010112345'); EXECUTE q (NULL); EXECUTE q (5); EXECUTE q ('x'); EXECUTE q;",
    "PREPARE q AS SELECT person_id, family_name FROM person WHERE town = $1 AND nickname = $2 AND score + $3 > 10;
     EXECUTE q ('Gent', 'jan', 1 + 1); EXECUTE q ('Ge' || 'nt', 'lee', 0);",
    "PREPARE q AS INSERT INTO permit VALUES ($1, $2, $3, $4) RETURNING remark, national_number; EXECUTE q (50, 8, 'k', 'r''s');
     EXECUTE q (51, NULL, 'k', NULL); EXECUTE q (52, '9', NULL, ''); SELECT * FROM permit ORDER BY permit_id;",
    "PREPARE q AS UPDATE person SET nickname = $2, balance = $3 WHERE national_number = $1 RETURNING nickname, balance;
     EXECUTE q (85073003328, 'new', 1.005); EXECUTE q (85073003328, 'much too long for this column', 1);
     EXECUTE q (85073003328, 'jan', 12.50);",
    "PREPARE q AS SELECT 1; PREPARE q AS SELECT family_name FROM person; EXECUTE q; DEALLOCATE q; EXECUTE q; DEALLOCATE q;",
    "PREPARE q AS SELECT family_name FROM person WHERE person_id = 1; PREPARE q AS SELECT 2; EXECUTE q;
     DEALLOCATE q; PREPARE q AS SELECT 2; EXECUTE q; DEALLOCATE ALL; EXECUTE q;",
    "PREPARE q AS SELECT remark FROM permit WHERE permit_id = $1; BEGIN; EXECUTE q (1); ROLLBACK; EXECUTE q (3); DISCARD ALL; EXECUTE q (3);",
    "BEGIN; PREPARE q AS SELECT remark FROM permit WHERE permit_id = 1; ROLLBACK; EXECUTE q;",
    "PREPARE q AS SELECT * FROM nothing; EXECUTE q; SELECT name, statement IS NULL FROM pg_prepared_statements;",
    "PREPARE q AS DELETE FROM permit WHERE national_number = $1; EXECUTE q (99999999999); SELECT count(*) FROM permit;",
    "PREPARE q AS SELECT family_name FROM person WHERE person_id = 1\\; EXECUTE q\\; DEALLOCATE q\\; SELECT 1;",
    "BEGIN; DECLARE c CURSOR FOR SELECT person_id, family_name, born FROM person ORDER BY person_id; FETCH c; FETCH 2 FROM c;
     FETCH NEXT FROM c; MOVE 2 FROM c; FETCH ALL c; FETCH 1 FROM c; CLOSE c; FETCH c; ROLLBACK;",
    "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT family_name FROM person ORDER BY person_id; FETCH LAST FROM c; FETCH PRIOR FROM c;
     FETCH ABSOLUTE 2 FROM c; FETCH RELATIVE -1 FROM c; FETCH BACKWARD 1 FROM c; FETCH FIRST FROM c; FETCH 0 FROM c; COMMIT;",
    "BEGIN; DECLARE c NO SCROLL CURSOR FOR SELECT family_name FROM person ORDER BY person_id; FETCH 2 FROM c; FETCH PRIOR FROM c; ROLLBACK;",
    "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT nickname FROM person WHERE age = 41 ORDER BY person_id; COMMIT; FETCH 1 FROM c;
     FETCH ALL FROM c; BEGIN; FETCH FIRST FROM c; COMMIT; CLOSE ALL; FETCH c;",
    "DECLARE c CURSOR WITH HOLD FOR SELECT remark FROM permit ORDER BY permit_id; FETCH 2 FROM c; DISCARD ALL; FETCH c;",
    "DECLARE c CURSOR FOR SELECT remark FROM permit; FETCH c;",
    "BEGIN; DECLARE c CURSOR FOR SELECT remark FROM permit ORDER BY permit_id; COMMIT; FETCH c;",
    "BEGIN; DECLARE c CURSOR FOR SELECT remark FROM permit ORDER BY permit_id; DECLARE c CURSOR FOR SELECT 1; FETCH c; ROLLBACK; FETCH c;",
    "BEGIN; DECLARE c CURSOR FOR SELECT 1; SAVEPOINT s; CLOSE c; DECLARE c CURSOR FOR SELECT remark FROM permit ORDER BY permit_id;
     FETCH c; ROLLBACK TO s; FETCH c; ROLLBACK;",
    "BEGIN\\; DECLARE c CURSOR FOR SELECT family_name FROM person ORDER BY person_id\\; FETCH 2 FROM c\\; COMMIT;",
    "BEGIN; DECLARE \"my \"\"c\" CURSOR FOR SELECT remark FROM permit WHERE national_number = 90010112345; FETCH ALL IN \"my \"\"c\"; COMMIT;",
    "BEGIN; DECLARE c CURSOR FOR SELECT name FROM street ORDER BY 1; FETCH 1 FROM c; COMMIT;",
    "BEGIN; DECLARE c CURSOR FOR SELECT count(*) FROM person WHERE nickname = 'jan'; FETCH c; COMMIT;",
    "PREPARE q AS SELECT person_id FROM person WHERE family_name LIKE $1 AND nickname = ANY ($2) ORDER BY 1;
     EXECUTE q ('%e%', '{jan,lee}'); EXECUTE q ('P%', '{jan}'); EXECUTE q (NULL, '{jan}'); EXECUTE q ('P%', NULL);",
    "PREPARE q AS UPDATE person SET family_name = $2 WHERE family_name ILIKE 'peet%' AND nickname = $1 RETURNING family_name;
     EXECUTE q ('jan', 'Piet'); EXECUTE q ('jan', 'Piet');
     UPDATE person SET family_name = 'Peeters' WHERE person_id = 1;",
    "PREPARE q (text) AS SELECT count(*) FROM person WHERE lower(nickname) IN ('jan', $1); EXECUTE q ('lee'); EXECUTE q ('x%');",
    "BEGIN; DECLARE c CURSOR FOR SELECT person_id FROM person WHERE family_name LIKE '%e%' ORDER BY 1; FETCH 2 FROM c; COMMIT;",
    "FETCH nothing; CLOSE nothing; EXECUTE nothing; DEALLOCATE nothing;",
];

/// Refused, and the session goes on.
const REFUSED: &[&str] = &[
    "BEGIN; DECLARE c BINARY CURSOR FOR SELECT family_name FROM person; FETCH c;",
    "PREPARE q (text) AS SELECT 1 FROM person WHERE national_number = $1; EXECUTE q ('5');",
    "PREPARE q AS SELECT family_name FROM person WHERE national_number = $1; EXECUTE q (1 + 1);",
    "PREPARE q AS SELECT family_name FROM person WHERE person_id = $1; CREATE TEMP TABLE t AS EXECUTE q (1);",
    "BEGIN; DECLARE c CURSOR FOR SELECT family_name FROM person; UPDATE person SET score = 1 WHERE CURRENT OF c;",
];

fn script(trial: &Trial, through: bool, script: &str) -> Said {
    let mut command = if through { trial.app_psql(DATABASE) } else { trial.superuser_psql("reference") };
    run(command.args(["-v", "VERBOSITY=sqlstate"]), script)
}

#[test]
fn names_of_sql_stand_for_the_same_as_in_postgresql() {
    let trial = Trial::usual();
    trial.superuser("postgres", "CREATE DATABASE reference");
    trial.superuser("reference", data::DUMP);
    for text in SAME {
        assert_eq!(script(&trial, true, text), script(&trial, false, text), "{text}");
    }
    for text in REFUSED {
        let said = script(&trial, true, &format!("{text}\nROLLBACK; SELECT 'goes on';"));
        assert!(
            ["0A000", "42501"].iter().any(|code| said.err.contains(code)) && said.out.contains("goes on"),
            "{text} {said:?}"
        );
        assert!(!said.out.contains("\\x"), "{text} {said:?}");
    }
    Runtime::new().unwrap().block_on(extended(&trial));
    trial.plant();
    trial.check(&data::canaries());
}

/// The same in the extended protocol, and names that change between Parse and Execute.
async fn extended(trial: &Trial) {
    let (gateway, plain) = (trial.app_session().await, trial.superuser_session("reference").await);
    for client in [&gateway, &plain] {
        client
            .batch_execute("PREPARE q AS SELECT family_name, age FROM person WHERE nickname = $1 ORDER BY person_id")
            .await
            .unwrap();
        let rows = client.query("EXECUTE q ('jan')", &[]).await.unwrap();
        let found: Vec<(&str, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(found, [("Peeters", 41), ("Van den Bossche", 52)]);
        client
            .batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT born, family_name FROM person ORDER BY person_id")
            .await
            .unwrap();
        let fetch = client.prepare("FETCH 1 FROM c").await.unwrap();
        for expected in ["Peeters", "O'Hara \"Lee\""] {
            assert_eq!(client.query_one(&fetch, &[]).await.unwrap().get::<_, &str>(1), expected);
        }
        client.batch_execute("COMMIT").await.unwrap();
        assert_eq!(code(&client.query(&fetch, &[]).await.unwrap_err()).len(), 5);
    }
    let execute = gateway.prepare("EXECUTE q ('jan')").await.unwrap();
    gateway.batch_execute("DEALLOCATE q; PREPARE q AS SELECT remark, 1 FROM permit").await.unwrap();
    assert_eq!(code(&gateway.query(&execute, &[]).await.unwrap_err()), "0A000");
    let looks = |command: &str| {
        let journal = trial.journal("gateway").display().to_string();
        let said = trial.drieslot_ok(["journal", "tail", &journal, "-n", "2000", "--json"]);
        said.lines().filter(|line| line.contains(&format!("\"command\":\"{command}\""))).count()
    };
    let before = (looks("FETCH"), looks("EXECUTE"));
    gateway.batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT born FROM person; FETCH 1 FROM c").await.unwrap();
    gateway.batch_execute("FETCH 2 FROM c; MOVE 1 FROM c; ROLLBACK; EXECUTE q").await.unwrap();
    assert_eq!((looks("FETCH"), looks("EXECUTE")), (before.0 + 2, before.1 + 1), "each FETCH and EXECUTE is a look");
}
