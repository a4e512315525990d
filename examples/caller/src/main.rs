//! Calls the plugin `greeter`: many calls at once, typed results, and what can go wrong.

use std::process::ExitCode;
use std::time::Duration;

use endpointd::client::{ClientError, RpcClient, Target};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The keyword arguments of `greet`.
#[derive(Serialize)]
struct Greet<'a> {
    name: &'a str,
}

/// One element of what `greeted` returns.
#[derive(Deserialize)]
struct Greeted {
    name: String,
    times: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match greet().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("caller: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn greet() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let url = words.next().ok_or("usage: caller TRANSPORT_URL NAME...")?;
    let names: Vec<String> = words.collect();

    let client = RpcClient::connect(&url, Target::topic("greetings"))?
        .exchange("greetings")
        .timeout(Duration::from_secs(5));
    // What the servers learn about the caller.
    let context = json!({"user": "caller"});

    // One connection and one reply queue carry them all.
    let calls = names.iter().map(|name| {
        let (client, context) = (&client, &context);
        async move {
            client
                .call::<String>(context, "greet", &Greet { name })
                .await
        }
    });
    for outcome in join_all(calls).await {
        match outcome {
            Ok(greeting) => println!("{greeting}"),
            Err(ClientError::Remote(failure)) if failure.class == "ValueError" => {
                println!("refused: {}", failure.message);
            }
            Err(ClientError::Undeliverable { .. }) => return Err("no greeter is listening".into()),
            Err(other) => return Err(other.into()),
        }
    }

    let greeted: Vec<Greeted> = client.call(&context, "greeted", &json!({})).await?;
    for Greeted { name, times } in greeted {
        println!("{name}: {times}");
    }
    client.close().await;
    Ok(())
}
