//! C1 to C9: which broker, login and virtual host a `transport_url` means, and when it is tried
//! again.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::connecting::{
    answers, check_connections, check_refused, default_port, lines_with, serving, with_plugin,
};
use crate::support::host::{Host, Setup};
use crate::support::rabbit::{self, Rabbit};
use crate::support::{eventually, free_port, unique};

#[test]
fn c1_a_bare_url_is_guest_at_localhost() {
    let _turn = default_port();
    let rabbit = Rabbit::start_with(5672, |_| String::new());
    let expected = json!({
        "user": "guest", "vhost": "/", "host": [127, 0, 0, 1], "port": 5672,
    });
    // No URL at all is the same one.
    for setup in [Setup::new("rabbit://"), Setup::without_url()] {
        let topic = unique("bare");
        let host = with_plugin(setup, &topic).start();
        answers(&host, &topic);
        check_connections(&rabbit, [(&host, expected.clone())]);
        let ready = host.ready_lines().remove(0);
        assert!(ready.contains(" on rabbit://127.0.0.1:5672/ "), "{ready}");
    }
}

#[test]
fn c2_virtual_hosts_are_named_as_upstream_reads_them() {
    let rabbit = rabbit::shared();
    let (slashed, nested, plain) = (
        format!("/{}", unique("vh")),
        format!("{}/b", unique("vh")),
        unique("höst ?;%41"),
    );
    let made = [&slashed, &nested, &plain];
    for name in made {
        rabbit.run(&["add_vhost", name]);
        rabbit.run(&["set_permissions", "-p", name, "guest", ".*", ".*", ".*"]);
    }
    let forms: [(String, &str); 9] = [
        (String::new(), "/"),
        ("/".to_owned(), "/"),
        ("//".to_owned(), "/"),
        ("/%2F".to_owned(), "/"),
        (format!("/%2F{}", &slashed[1..]), &slashed),
        (format!("/{slashed}"), &slashed),
        (format!("/{}", nested.replace('/', "%2F")), &nested),
        (format!("/{nested}"), &nested),
        (
            format!(
                "/{}",
                plain
                    .replace('%', "%25")
                    .replace('?', "%3f")
                    .replace('ö', "%C3%B6")
            ),
            &plain,
        ),
    ];
    let hosts = forms.map(|(form, virtual_host)| {
        let topic = unique("vhost");
        let url = format!("rabbit://127.0.0.1:{}{form}", rabbit.port());
        (serving(&url, &topic).launch(), topic, virtual_host)
    });
    let hosts = hosts.map(|(mut host, topic, virtual_host)| {
        host.becomes_ready();
        answers(&host, &topic);
        (host, virtual_host)
    });
    let expected = hosts
        .iter()
        .map(|(host, name)| (host, json!({"vhost": name})));
    check_connections(rabbit, expected);
    drop(hosts);
    for name in made {
        rabbit.run(&["delete_vhost", name]);
    }
}

#[test]
fn c3_percent_encoded_users_and_passwords_log_in() {
    let rabbit = rabbit::shared();
    let number = unique("");
    // Each with the form it has in the URL.
    let logins = [
        ("a@b", "a%40b", "p/q", "p%2Fq"),
        ("c@d", "c@d", "p:+@q", "p:+@q"),
        ("e:f", "e%3Af", "?#,[]%41", "%3f%23%2C%5b%5D%2541"),
        ("zoë", "zo%C3%AB", "ключ/ß", "ключ%2F%c3%9f"),
    ];
    let hosts = logins.map(|(user, user_form, password, password_form)| {
        let user = format!("{user}{number}");
        rabbit.run(&["add_user", &user, password]);
        rabbit.run(&["set_permissions", &user, ".*", ".*", ".*"]);
        let port = rabbit.port();
        let url = format!("rabbit://{user_form}{number}:{password_form}@127.0.0.1:{port}/");
        let topic = unique("login");
        let host = serving(&url, &topic).start();
        answers(&host, &topic);
        let log = host.log();
        assert!(
            !log.contains(password) && !log.contains(password_form),
            "{log}"
        );
        (host, user)
    });
    let expected = hosts
        .iter()
        .map(|(host, user)| (host, json!({"user": user})));
    check_connections(rabbit, expected);
    for (host, user) in hosts {
        drop(host);
        rabbit.run(&["delete_user", &user]);
    }
}

#[test]
fn c4_a_host_without_a_login_uses_guest_whatever_the_others_use() {
    let rabbit = rabbit::shared();
    let (port, dead) = (rabbit.port(), free_port());
    for hosts in [
        format!("127.0.0.1:{port}"),
        format!("nobody:wrong@127.0.0.1:{dead},127.0.0.1:{port}"),
    ] {
        let topic = unique("guest");
        let host = serving(&format!("rabbit://{hosts}/"), &topic).start();
        answers(&host, &topic);
        check_connections(rabbit, [(&host, json!({"user": "guest"}))]);
    }
}

#[test]
fn c5_an_option_of_the_url_wins_over_the_file() {
    let rabbit = rabbit::shared();
    let topic = unique("option");
    let url = format!("{}?rabbit_qos_prefetch_count=3", rabbit.url());
    let table = "[rabbit]\nrabbit_qos_prefetch_count = 2\nheartbeat_timeout_threshold = 11";
    let host = serving(&url, &topic).tables(table).start();
    answers(&host, &topic);
    let consumers = rabbit.list(&["list_consumers", "queue_name", "prefetch_count"]);
    let counts = consumers.iter().filter(|consumer| {
        let queue = consumer["queue_name"].as_str().expect("a name");
        queue.starts_with(&topic)
    });
    let counts: Vec<_> = counts.map(|consumer| &consumer["prefetch_count"]).collect();
    assert_eq!(counts, [3, 3, 3]);
    // What the URL does not name is the file's.
    check_connections(rabbit, [(&host, json!({"timeout": 11}))]);
}

#[test]
fn c5_an_option_that_is_none_or_has_a_wrong_value_ends_the_start() {
    for (option, value) in [
        ("rabbit_quorum_queues", "hunter2"),
        ("rpc_response_timeout", "98765432101"),
        ("ssl", "hunter2"),
        ("heartbeat_timeout_threshold", "hunter2"),
        ("rabbit_qos_prefetch_count", "98765432101"),
        ("rabbit_interval_max", "-98765432101"),
        ("kombu_compression", "hunter2"),
        ("rabbit_login_method", "hunter2"),
        ("ssl_version", "TLSv1_1"),
        ("kombu_reconnect_delay", "98765432101.5"),
    ] {
        let url = format!("rabbit://127.0.0.1:1/?{option}={value}");
        let mut host = serving(&url, "unused").launch();
        assert_eq!(host.wait().code(), Some(1));
        let log = host.log();
        let line = log.lines().last().expect("a line");
        assert!(line.contains(&format!("`{option}`")), "{option}: {line}");
        assert!(!log.contains(value), "{option}: {log}");
        assert!(!log.contains("trying again"), "{option}: {log}");
    }
}

#[test]
fn c6_dead_hosts_before_a_living_one_cost_no_pause() {
    let rabbit = rabbit::shared();
    let (topic, user) = (unique("failover"), unique("wanderer"));
    rabbit.run(&["add_user", &user, "secret"]);
    rabbit.run(&["set_permissions", &user, ".*", ".*", ".*"]);
    let dead: String = (0..5)
        .map(|_| format!("127.0.0.1:{},", free_port()))
        .collect();
    let url = format!("rabbit://{dead}{user}:secret@127.0.0.1:{}/", rabbit.port());
    let host = serving(&url, &topic).start();
    answers(&host, &topic);
    // The order is random at first. After a loss the host that was lost comes last.
    rabbit.run(&["close_all_user_connections", &user, "a test"]);
    host.logs(&format!("Consuming {topic}"));
    answers(&host, &topic);
    let log = host.log();
    assert!(log.contains("Lost RabbitMQ"), "{log}");
    assert!(!log.contains("trying again"), "{log}");
    drop(host);
    rabbit.run(&["delete_user", &user]);
}

/// A broker that hangs up on everybody, and how often it did.
fn hangs_up() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(connection);
        }
    });
    (port, count)
}

/// The pauses that a host announced so far, in seconds.
fn pauses(host: &Host) -> Vec<u32> {
    let log = host.log();
    let announced = lines_with(&log, "trying again in ")
        .into_iter()
        .map(|line| {
            let (_, rest) = line.split_once("trying again in ").expect("it is there");
            let (seconds, _) = rest.split_once(" s").expect("seconds");
            seconds.parse().expect("a number")
        });
    announced.collect()
}

#[test]
fn c7_pauses_grow_to_a_limit_and_come_once_a_cycle() {
    let cases = [
        ("", [1, 3, 5].as_slice()),
        ("rabbit_interval_max = 4", &[1, 3, 4, 4]),
    ];
    let hosts = cases.map(|(option, expected)| {
        let (port, tries) = hangs_up();
        let url = format!("rabbit://127.0.0.1:{},127.0.0.1:{port}/", free_port());
        let setup = serving(&url, &unique("dead")).tables(&format!("[rabbit]\n{option}"));
        (setup.launch(), tries, expected)
    });
    for (host, tries, expected) in &hosts {
        eventually("it paused often enough", || {
            (pauses(host).len() >= expected.len()).then_some(())
        });
        let before = pauses(host);
        assert_eq!(before[..expected.len()], **expected, "{}", host.log());
        // Each host is tried once before a pause. The next cycle may have begun.
        let tries = tries.load(Ordering::SeqCst);
        let cycles = before.len()..=pauses(host).len() + 1;
        assert!(cycles.contains(&tries), "{tries} tries: {}", host.log());
    }
}

#[test]
fn c8_a_refused_login_or_virtual_host_is_not_tried_again() {
    let rabbit = rabbit::shared();
    let port = rabbit.port();
    let (user, virtual_host) = (unique("stranger"), unique("closed"));
    rabbit.run(&["add_user", &user, "secret"]);
    rabbit.run(&["add_vhost", &virtual_host]);
    let (other, tries) = hangs_up();
    let cases = [
        (
            format!("nobody:wrong@127.0.0.1:{port}/"),
            "refused the login of user `nobody`".to_owned(),
        ),
        (
            format!("guest:guest@127.0.0.1:{port}/nowhere"),
            "refused user `guest` the virtual host `nowhere`".to_owned(),
        ),
        (
            format!("{user}:secret@127.0.0.1:{port}/{virtual_host}"),
            format!("refused user `{user}` the virtual host `{virtual_host}`"),
        ),
        // Whichever comes first, and whatever comes of the other one.
        (
            format!("nobody:wrong@127.0.0.1:{port},127.0.0.1:{other}/"),
            "refused the login of user `nobody`".to_owned(),
        ),
    ];
    for (url, expected) in cases {
        check_refused(
            serving(&format!("rabbit://{url}"), &unique("refused")),
            &expected,
        );
    }
    assert!(tries.load(Ordering::SeqCst) <= 1, "tried again");
    rabbit.run(&["delete_user", &user]);
    rabbit.run(&["delete_vhost", &virtual_host]);
}

#[test]
fn c9_heartbeats_are_the_smaller_of_both_sides_and_off_if_we_say_so() {
    let rabbit = Rabbit::start_with(free_port(), |_| "heartbeat = 7\n".to_owned());
    let check = |ours: u16, expected: u16| {
        let topic = unique("heartbeat");
        let option = format!("[rabbit]\nheartbeat_timeout_threshold = {ours}");
        let host = serving(&rabbit.url(), &topic).tables(&option).start();
        answers(&host, &topic);
        check_connections(&rabbit, [(&host, json!({"timeout": expected}))]);
    };
    check(0, 0);
    check(5, 5);
    check(60, 7);
    rabbit.run(&["eval", "application:set_env(rabbit, heartbeat, 0)."]);
    // A broker that wants none sends ours.
    check(5, 5);
    check(0, 0);
}
