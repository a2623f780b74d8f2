//! Starts an installed unit as systemd would, as far as the page relies on it: its user, its command, its credentials.

use crate::hosts::Hosts;

/// `name` is `drieslot-PART@INSTANCE`.
pub(crate) fn start(hosts: &mut Hosts, host: &str, name: &str) {
    let (template, instance) = name.split_once('@').unwrap();
    let text = std::fs::read_to_string(hosts.path(host, &format!("/etc/systemd/system/{template}@.service"))).unwrap();
    let text = text.replace("%i", instance);
    let setting = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let user = setting("User").unwrap();
    if let Some((id, from)) = setting("LoadCredential").and_then(|credential| credential.split_once(':')) {
        let folder = format!("/run/credentials/{name}.service");
        hosts.sh(
            host,
            &format!(
                "install -d -m 0755 /run/credentials && install -d -m 0500 -o {user} {folder} && \
                 install -m 0400 -o {user} {from} {folder}/{id}"
            ),
        );
    }
    let state = setting("StateDirectory").unwrap();
    hosts.sh(
        host,
        &format!(
            "test $(stat -c %U.%a /var/lib/{state}) = {user}.{}",
            setting("StateDirectoryMode").unwrap().trim_start_matches('0')
        ),
    );
    let start =
        ["setpriv", "--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"].map(str::to_owned);
    let user = [format!("--reuid={user}"), format!("--regid={user}")];
    let command = setting("ExecStart").unwrap().split_whitespace().map(str::to_owned);
    let command: Vec<_> = start.into_iter().chain(user).chain(command).collect();
    hosts.serve(host, name, &command);
    hosts.wait_port(
        host,
        if host == "gateway" {
            5432
        } else if host == "register" {
            7000
        } else {
            7100
        },
    );
}
