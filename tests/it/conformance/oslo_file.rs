//! `--oslo-config-file`: an operator's own file serves as it is, and what cannot be honoured of it
//! is refused by name.

use serde_json::{Value, json};

use super::connecting::{answers, check_connections, lines_with, with_plugin};
use crate::support::host::{Host, Setup};
use crate::support::rabbit::{self, Rabbit};
use crate::support::{free_port, unique};

/// A host that is told where its broker is by nobody but these files, given in this order.
fn with_files(topic: &str, files: &[(&str, &str)]) -> Setup {
    let setup = with_plugin(Setup::without_url(), topic);
    files.iter().fold(setup, |setup, (name, text)| {
        let setup = setup.arguments(&["--oslo-config-file", name]);
        setup.file(name, text.as_bytes())
    })
}

/// The ready line of the one topic, up to the methods.
fn ready(host: &Host) -> String {
    let line = host.ready_lines().remove(0);
    line.split(" | ").next().expect("a part").to_owned()
}

/// The queues of a topic in a virtual host: their names, with what else was asked of each.
fn queues(rabbit: &Rabbit, virtual_host: &str, topic: &str, column: &str) -> Vec<(String, Value)> {
    let queues = rabbit.list(&["list_queues", "-p", virtual_host, "name", column]);
    let mut found: Vec<_> = queues
        .into_iter()
        .map(|queue| {
            (
                queue["name"].as_str().expect("a name").to_owned(),
                queue[column].clone(),
            )
        })
        .filter(|(name, _)| name.starts_with(topic))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn a_neutron_conf_serves_as_it_is() {
    let rabbit = rabbit::shared();
    let (topic, exchange) = (unique("neutron-conf"), unique("exchange"));
    let (user, virtual_host) = (unique("openstack"), unique("cloud"));
    rabbit.run(&["add_user", &user, "s3/cret"]);
    rabbit.run(&["add_vhost", &virtual_host]);
    rabbit.run(&[
        "set_permissions",
        "-p",
        &virtual_host,
        &user,
        ".*",
        ".*",
        ".*",
    ]);
    let (port, dead) = (rabbit.port(), free_port());
    let text = format!(
        r#"
# What the server is made of.
[DEFAULT]
core_plugin = ml2
service_plugins = router,
    metering,
    # no comment, as it is indented
    qos
state_path = /var/lib/neutron
lock_path = $state_path/lock
bind_host = ${{my_ip}}
my_ip = 127.0.0.1
host = ctl7
control_exchange = "{exchange}"
transport_url =
    rabbit://{user}:s3%2Fcret@$my_ip:{dead},
    {user}:s3%2Fcret@$my_ip:{port}/{virtual_host}
#transport_url = rabbit://nobody:nothing@nowhere/
rpc_response_timeout = 30
executor_thread_pool_size = 8
rpc_ping_enabled = True

[database]
connection = mysql+pymysql://neutron:pa$$word@db.example/neutron?charset=utf8

[keystone_authtoken]
password = %(hidden)s
; Read by others.
[agent]
root_helper = sudo /usr/bin/neutron-rootwrap /etc/neutron/rootwrap.conf

[oslo_messaging_rabbit]
amqp_durable_queues = true
heartbeat_timeout_threshold = 13
heartbeat_rate = 3
use_queue_manager = yes
hostname = $host
processname = neutron-$hostname
rabbit_qos_prefetch_count: 5
rabbit_userid = old
rpc_conn_pool_size =
"#
    );
    let host = with_files(&topic, &[("etc/neutron.conf", &text)]).start();
    assert_eq!(
        ready(&host),
        format!(
            "ready: topic {topic} server ctl7 exchange {exchange} on \
             rabbit://127.0.0.1:{dead},127.0.0.1:{port}/{virtual_host}"
        )
    );
    answers(&host, &topic);
    let seen = json!({"user": user, "vhost": virtual_host, "timeout": 13});
    check_connections(rabbit, [(&host, seen)]);
    assert_eq!(
        queues(rabbit, &virtual_host, &topic, "durable"),
        [
            (topic.clone(), json!(true)),
            (format!("{topic}.ctl7"), json!(true)),
            (format!("{topic}_fanout_ctl7:neutron-ctl7:1"), json!(false)),
        ]
    );
    let exchanges = rabbit.list(&["list_exchanges", "-p", &virtual_host, "name", "durable"]);
    assert!(
        exchanges.contains(&json!({"name": exchange, "durable": true})),
        "{exchanges:?}"
    );
    // The name that its own ping answers by.
    let ping = host.call(&topic, "oslo_rpc_server_ping", json!({}));
    assert_eq!(ping["result"], "pong");
    let log = host.log();
    let note = "neutron.conf line 40 sets nothing: oslo.messaging has no option `rabbit_userid`";
    assert_eq!(lines_with(&log, note).len(), 1, "{log}");
    assert!(!log.contains("s3"), "{log}");

    drop(host);
    rabbit.run(&["delete_vhost", &virtual_host]);
    rabbit.run(&["delete_user", &user]);
}

#[test]
fn of_two_files_the_later_wins_and_endpointd_toml_over_both() {
    let rabbit = rabbit::shared();
    let topic = unique("two-files");
    let url = rabbit.url();
    let first = "[DEFAULT]\ntransport_url = rabbit://nobody:nothing@127.0.0.1:1/\nhost = one\n\
                 control_exchange = first\n[oslo_messaging_rabbit]\namqp_durable_queues = true\n\
                 rabbit_transient_queues_ttl = 11\nheartbeat_timeout_threshold = 12\n";
    let second = format!(
        "[DEFAULT]\ntransport_url = {url}\nhost = two\n[oslo_messaging_rabbit]\n\
         rabbit_transient_queues_ttl = 21\nheartbeat_timeout_threshold = 22\n"
    );
    let files = [("a.conf", first), ("b.conf", &*second)];
    let own = "[rabbit]\nheartbeat_timeout_threshold = 32";
    let setup = with_files(&topic, &files)
        .settings("host = \"three\"")
        .tables(own);
    let host = setup.start();
    let server = format!("ready: topic {topic} server three exchange first on ");
    assert!(ready(&host).starts_with(&server), "{}", ready(&host));
    answers(&host, &topic);
    check_connections(rabbit, [(&host, json!({"user": "guest", "timeout": 32}))]);
    let durable = queues(rabbit, "/", &topic, "durable");
    let durable: Vec<_> = durable.iter().map(|(_, durable)| durable).collect();
    assert_eq!(durable, [true, true, false]);
    let (_, fanout) = queues(rabbit, "/", &topic, "arguments").remove(2);
    assert!(fanout.to_string().contains("21000"), "{fanout}");

    // The other way round the first one's broker counts, of which there is none.
    let [first, second] = files;
    let mut host = with_files(&topic, &[second, first]).launch();
    host.logs("RabbitMQ at 127.0.0.1:1: cannot connect");
    host.terminate();
    assert!(host.wait().success());
    for queue in [topic.clone(), format!("{topic}.three")] {
        rabbit.run(&["delete_queue", &queue]);
    }
}

#[test]
fn what_a_file_asks_for_in_vain_is_refused_by_name_and_place() {
    let cases = [
        (
            "[DEFAULT]\n[oslo_messaging_rabbit]\nkombu_compression = hunter2\n",
            "b.conf line 3: the option `kombu_compression` needs",
        ),
        (
            "\n[oslo_messaging_rabbit]\nssl_enforce_fips_mode = true\n",
            "b.conf line 3: `ssl_enforce_fips_mode` cannot be honoured",
        ),
        (
            "[DEFAULT]\nrpc_response_timeout = hunter2\n",
            "b.conf line 2: `rpc_response_timeout` needs a whole number",
        ),
        (
            "[DEFAULT]\ntransport_url = rabbit://u:hunter2@$nowhere/\n",
            "b.conf line 2: `transport_url` of [DEFAULT] has a `$` before a name that no file sets",
        ),
        ("[DEFAULT]\nhunter2\n", "b.conf line 2: neither `=` nor `:`"),
    ];
    for (text, expected) in cases {
        let files = [("a.conf", "[DEFAULT]\nhost = one\n"), ("b.conf", text)];
        let mut host = with_files("unused", &files).launch();
        assert_eq!(host.wait().code(), Some(1));
        let log = host.log();
        let line = log.lines().last().expect("a line");
        assert!(line.contains(expected), "no `{expected}` in {line}");
        assert!(!log.contains("hunter2"), "{log}");
    }
    let setup = with_plugin(Setup::without_url(), "unused");
    let mut host = setup
        .arguments(&["--oslo-config-file", "nowhere.conf"])
        .launch();
    assert_eq!(host.wait().code(), Some(1));
    host.logs("cannot read nowhere.conf");
}
