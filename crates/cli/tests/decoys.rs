//! Decoys: whoever reads a made-up person among the real ones is noticed, and may be the last who reads anything.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::session::code;
use common::{Trial, data};
use tokio::runtime::Runtime;

fn configured(text: &str, on_read: &str) -> String {
    let kept = text.split("[[decoys]]").next().unwrap().trim_end();
    format!(
        "{kept}\n\n[[decoys]]\ncolumn = \"public.person.family_name\"\nvalues = \"decoys.txt\"\non_read = \"{on_read}\"\n"
    )
}

fn alarms(trial: &Trial) -> Vec<String> {
    let folder = trial.journal("gateway").display().to_string();
    let said = trial.drieslot_ok(["journal", "tail", &folder, "-n", "500", "--json"]);
    said.lines().filter(|line| line.contains("\"kind\":\"alarm\"")).map(str::to_owned).collect()
}

fn place(trial: &Trial, mode: u32) {
    let made = trial.write("decoys.txt", "CANARY-7f3a-Vandenbossche\nNobody\nCANARY-update-c0a7\n");
    let path = trial.data().join("gateway/decoys.txt");
    std::fs::rename(made, &path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn whoever_reads_a_decoy_is_noticed() {
    let mut trial = Trial::usual();
    trial.plant();
    place(&trial, 0o600);
    trial.take_apart(|text| configured(text, "alarm"));
    trial.app_ok(
        "SELECT family_name FROM person WHERE person_id < 10; SELECT nickname FROM person WHERE person_id = 901",
    );
    assert_eq!(alarms(&trial), [""; 0]);
    // The row is given, and the session counts once.
    assert_eq!(trial.app_ok("SELECT family_name FROM person WHERE person_id = 901"), "CANARY-update-c0a7");
    trial.app_ok("SELECT count(*), max(person_id) FROM person; SELECT * FROM person; COPY person TO STDOUT");
    let raised = alarms(&trial);
    assert_eq!(raised.len(), 2, "{raised:?}");
    assert!(raised[1].contains("public.person.family_name") && raised[1].contains("\"app\""), "{raised:?}");
    assert!(!raised[1].contains("CANARY"), "the alarm names no value: {raised:?}");

    trial.restart_gateway(|text| configured(text, "stop"));
    Runtime::new().unwrap().block_on(async {
        let bystander = trial.app_session().await;
        bystander.simple_query("SELECT family_name FROM person WHERE person_id = 1").await.unwrap();
        let reader = trial.app_session().await;
        let name = reader.prepare("SELECT family_name FROM person WHERE person_id = $1").await.unwrap();
        assert_eq!(reader.query_one(&name, &[&1]).await.unwrap().len(), 1);
        assert_eq!(code(&reader.query(&name, &[&901]).await.unwrap_err()), "42501");
        // The others too; what is plain goes on.
        let refused = bystander.simple_query("SELECT family_name FROM person WHERE person_id = 1").await.unwrap_err();
        assert!(code(&refused) == "42501" && format!("{refused:?}").contains("alarm"), "{refused:?}");
        let new = trial.app_session().await;
        assert_eq!(code(&new.simple_query("SELECT remark FROM permit").await.unwrap_err()), "42501");
        new.simple_query("SELECT name FROM street; SELECT town FROM person").await.unwrap();
    });
    assert_eq!(alarms(&trial).len(), 3);
    trial.restart_gateway(|text| text.replacen("identity", "# looked at\nidentity", 1));
    trial.app_ok("SELECT family_name FROM person WHERE person_id = 1");
    for sql in ["COPY person TO STDOUT", "UPDATE person SET town = 'Gent' WHERE person_id = 901 RETURNING family_name"]
    {
        let (code, _) = trial.app_fails(sql);
        assert_eq!(code, "42501", "{sql}");
        trial.restart_gateway(|text| text.replacen("# looked at", "# looked at again", 1));
    }
    std::fs::remove_file(trial.data().join("gateway/decoys.txt")).unwrap();
    trial.check(&data::canaries());
}

#[test]
fn decoys_that_could_not_work_are_refused_by_name() {
    let mut trial = Trial::small();
    trial.stop();
    let config = trial.data().join("gateway/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let whole = configured(&text, "alarm");
    for (mode, config_text, expected) in [
        (0o644, whole.clone(), "others may read it"),
        (0o600, whole.replace("public.person.family_name", "family_name"), "schema.table.column"),
        (0o600, whole.replace("decoys.txt", "nothing.txt"), "nothing.txt"),
        (0o600, whole.replace("\"alarm\"", "\"laugh\""), "unknown variant"),
    ] {
        place(&trial, mode);
        std::fs::write(&config, config_text).unwrap();
        let output = trial.drieslot(["gateway", "run", "--config", &config.display().to_string()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{expected}: {said}");
    }
}
