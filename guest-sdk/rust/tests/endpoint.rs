//! What `#[endpoint]` makes of an `impl` block, as the host calls it.

use std::time::Duration;

use endpointd_guest::{Context, Endpoint, Failure, Request, Result, builtins, endpoint};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Deserialize, Serialize)]
struct Lease {
    host: String,
    days: u32,
}

/// An error of the plugin's own.
struct Refused(&'static str);

impl From<Refused> for Failure {
    fn from(error: Refused) -> Self {
        Failure::new("leases", "Refused", error.0)
            .with_kwarg("why", error.0)
            .expected()
    }
}

#[derive(Default)]
struct Leases;

#[endpoint(namespace = "leases", version = "1.2.3")]
impl Leases {
    pub fn take(&self, host: String, days: Option<u32>) -> Lease {
        let days = days.unwrap_or(Self::default_days());
        Lease { host, days }
    }

    pub fn give(&self, context: &Context, lease: Lease) -> Result<String> {
        match context.text("user") {
            Some(user) => Ok(format!(
                "{user} gives {} for {} days",
                lease.host, lease.days
            )),
            None => Err(builtins::permission_error("who are you?")),
        }
    }

    pub fn refuse(&self) -> Result<(), Refused> {
        Err(Refused("no more"))
    }

    pub fn filter(&self, limit: u32, #[kwargs] filters: Map<String, Value>) -> (u32, usize) {
        (limit, filters.len())
    }

    pub fn r#type(&self, r#in: bool) -> bool {
        !r#in
    }

    pub fn nothing(&self) {}

    // Not callable: it is private.
    fn default_days() -> u32 {
        7
    }
}

/// Calls with these arguments as the user `u`: the result, or the failure's class and message.
#[track_caller]
fn check(method: &str, args: &str, expected: &str) {
    let request = Request {
        method: method.to_owned(),
        args: args.to_owned(),
        context: Context::from_json(r#"{"user": "u", "is_admin": true}"#),
        ..Request::default()
    };
    let outcome = match Leases.dispatch(&request) {
        Ok(json) => json,
        Err(failure) => format!("{}: {}", failure.class, failure.message),
    };
    assert_eq!(outcome, expected);
}

#[test]
fn the_attribute_names_what_is_served() {
    assert_eq!(Leases::NAMESPACE, Some("leases"));
    assert_eq!(Leases::VERSION, "1.2.3");
    assert_eq!(
        Leases::METHODS,
        ["take", "give", "refuse", "filter", "type", "nothing"]
    );
}

#[test]
fn arguments_are_matched_by_name() {
    check("take", r#"{"host": "h"}"#, r#"{"host":"h","days":7}"#);
    check(
        "take",
        r#"{"days": 2, "host": "é"}"#,
        r#"{"host":"é","days":2}"#,
    );
    check(
        "take",
        r#"{"host": "h", "days": null}"#,
        r#"{"host":"h","days":7}"#,
    );
    check(
        "take",
        r#"{"host": "a", "host": "b"}"#,
        r#"{"host":"b","days":7}"#,
    );
    // Also where the one before would be no good.
    check(
        "take",
        r#"{"host": 1, "h\u006fst": "b"}"#,
        r#"{"host":"b","days":7}"#,
    );
    check("filter", r#"{"a": 1, "limit": 3, "b": 2}"#, "[3,2]");
    check("type", r#"{"in": true}"#, "false");
    check("nothing", "{}", "null");
}

#[test]
fn wrong_arguments_are_pythons_type_error() {
    check(
        "take",
        "{}",
        "TypeError: take() missing a required argument: 'host'",
    );
    check(
        "take",
        r#"{"host": "h", "day": 1}"#,
        "TypeError: take() got an unexpected keyword argument 'day'",
    );
    check(
        "take",
        r#"{"host": 1}"#,
        "TypeError: take() argument 'host': invalid type: integer `1`, expected a string at line 1 \
         column 1",
    );
    check(
        "take",
        r#"{"day": 1, "days": "x"}"#,
        "TypeError: take() missing a required argument: 'host'",
    );
    check(
        "filter",
        r#"{"a": 1}"#,
        "TypeError: filter() missing a required argument: 'limit'",
    );
}

#[test]
fn the_context_and_typed_arguments_reach_the_method() {
    check(
        "give",
        r#"{"lease": {"host": "h", "days": 1}}"#,
        "\"u gives h for 1 days\"",
    );
    let nobody = Leases.give(
        &Context::default(),
        Lease {
            host: "h".into(),
            days: 1,
        },
    );
    assert_eq!(nobody.expect_err("refused").class, "PermissionError");
}

#[test]
fn errors_of_ones_own_become_failures() {
    check("refuse", "{}", "Refused: no more");
    let failure = Failure::from(Refused("no more"));
    assert_eq!(failure.module, "leases");
    assert_eq!(failure.kwargs["why"], "no more");
    assert!(failure.expected);
}

#[test]
fn what_is_not_public_is_no_method() {
    check(
        "default_days",
        "{}",
        "NoSuchMethod: Endpoint does not support RPC method default_days",
    );
}

#[test]
fn a_context_reads_as_text_or_as_a_type() {
    let context = Context::from_json(r#"{"user": "u", "is_admin": true, "roles": ["a"]}"#);
    assert!(context.is_admin());
    assert_eq!(context.text("roles"), None);
    let (roles,): (Vec<String>,) = {
        #[derive(Deserialize)]
        struct Roles {
            roles: Vec<String>,
        }
        (context.read::<Roles>().expect("fits").roles,)
    };
    assert_eq!(roles, ["a"]);
    assert!(!Context::from_json("[]").is_admin());
}

#[test]
fn buckets_settings_and_the_log_work_natively() {
    use endpointd_guest::keyvalue::Bucket;
    use endpointd_guest::{config, log, testing};

    let bucket = Bucket::open("b").expect("open");
    assert_eq!(bucket.increment("n", 2), Ok(2));
    assert_eq!(
        bucket.update_json("n", |n: Option<u32>| (n.unwrap_or(0) * 10, "done")),
        Ok("done")
    );
    assert_eq!(bucket.get_json::<u32>("n"), Ok(Some(20)));
    assert_eq!(bucket.keys(), Ok(vec!["n".to_owned()]));
    testing::break_bucket("b");
    assert!(bucket.get("n").is_err());

    testing::set_config("days", "3");
    assert_eq!(config::parsed("days", 1).expect("a number"), 3);
    assert_eq!(config::parsed("hours", 1).expect("the default"), 1);
    testing::set_config("days", "many");
    let wrong = config::parsed("days", 1).expect_err("no number");
    assert!(wrong.message.contains("`days`"), "{wrong}");

    log::warn("careful");
    assert_eq!(
        testing::take_log(),
        [(log::Level::Warn, "careful".to_owned())]
    );
    let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(5);
    testing::set_now(now);
    assert_eq!(endpointd_guest::clock::now(), now);
}

#[test]
fn misuse_is_a_compile_error_at_its_line() {
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}
