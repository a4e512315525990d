//! Tells every host that serves the plugin `greeter` whom to greet: a line of standard input, a fanout.

use std::process::ExitCode;
use std::time::Duration;

use endpointd::client::{RpcClient, Target};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match publish().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("fanout_publisher: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Fails at the end if anybody's name was given up.
async fn publish() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let url = url.ok_or("usage: fanout_publisher TRANSPORT_URL < NAMES")?;

    let everybody = RpcClient::connect(&url, Target::topic("greetings"))?
        .exchange("greetings")
        .fanout(true)
        // A broker that restarts is waited for; after this, the name is given up.
        .timeout(Duration::from_secs(30));

    let mut code = ExitCode::SUCCESS;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(name) = lines.next_line().await? {
        // Returns once the broker has it. Whether anybody listens, a fanout does not tell.
        match everybody
            .cast(&json!({}), "greet", &json!({"name": name}))
            .await
        {
            Ok(()) => println!("told everybody about {name}"),
            Err(error) => {
                eprintln!("nobody knows about {name}: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    everybody.close().await;
    Ok(code)
}
