//! A stock of items in a bucket, that orders more of what runs out.

use endpointd_guest::client::{self, Target};
use endpointd_guest::keyvalue::Bucket;
use endpointd_guest::{Context, Failure, Result, builtins, call_info, config, endpoint, log};
use serde::{Deserialize, Serialize};
use serde_json::json;

const PUTS: &str = "puts";

#[derive(Default)]
struct Inventory;

/// What is stored of an item.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Item {
    name: String,
    quantity: i64,
    note: Option<String>,
    by: Option<String>,
}

/// What a caller learns who put an item.
#[derive(Debug, PartialEq, Serialize)]
struct Put {
    #[serde(flatten)]
    item: Item,
    previous: Option<i64>,
    order: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Count {
    items: usize,
    quantity: i64,
    puts: i64,
}

#[endpoint(version = "1.1")]
impl Inventory {
    /// Sets how many there are of an item, and orders more where that is too few.
    pub fn put(
        &self,
        context: &Context,
        name: String,
        quantity: i64,
        note: Option<String>,
    ) -> Result<Put> {
        if name.is_empty() {
            return Err(builtins::value_error("a name is needed"));
        }
        if quantity < 0 {
            return Err(invalid_quantity(&name, quantity));
        }
        let stock = Bucket::open("inventory")?;
        let by = context.text("user").map(str::to_owned);
        let previous = stock.update_json(&key(&name), |before: Option<Item>| {
            let item = Item {
                name: name.clone(),
                quantity,
                note: note.clone(),
                by: by.clone(),
            };
            (item, before.map(|before| before.quantity))
        })?;
        stock.increment(PUTS, 1)?;
        log::info(format!(
            "{name}: {quantity}, by request {}",
            call_info::id()
        ));
        Ok(Put {
            order: order(&name, quantity)?,
            previous,
            item: Item {
                name,
                quantity,
                note,
                by,
            },
        })
    }

    pub fn get(&self, name: String) -> Result<Item> {
        let item = Bucket::open("inventory")?.get_json(&key(&name))?;
        item.ok_or_else(|| item_not_found(&name))
    }

    /// The names that begin with a prefix.
    pub fn list(&self, prefix: Option<String>) -> Result<Vec<String>> {
        let mut names = names(&Bucket::open("inventory")?)?;
        names.retain(|name| name.starts_with(prefix.as_deref().unwrap_or_default()));
        Ok(names)
    }

    pub fn count(&self) -> Result<Count> {
        let stock = Bucket::open("inventory")?;
        let mut count = Count {
            items: 0,
            quantity: 0,
            puts: stock.get_json(PUTS)?.unwrap_or(0),
        };
        for name in names(&stock)? {
            if let Some(item) = stock.get_json::<Item>(&key(&name))? {
                count.items += 1;
                count.quantity += item.quantity;
            }
        }
        Ok(count)
    }

    /// FNV-1a over every name, as often as one likes.
    pub fn checksum(&self, rounds: Option<u64>) -> Result<u32> {
        let names = names(&Bucket::open("inventory")?)?;
        let mut sum = 2_166_136_261;
        for _ in 0..rounds.unwrap_or(1) {
            for byte in names.iter().flat_map(|name| name.bytes()) {
                sum = (sum ^ u32::from(byte)).wrapping_mul(16_777_619);
            }
        }
        Ok(sum)
    }
}

fn key(name: &str) -> String {
    format!("item/{name}")
}

fn names(stock: &Bucket) -> Result<Vec<String>> {
    let keys = stock.keys()?.into_iter();
    Ok(keys
        .filter_map(|key| key.strip_prefix("item/").map(str::to_owned))
        .collect())
}

/// Orders what is missing, where the operator said how much there should be.
fn order(name: &str, quantity: i64) -> Result<Option<String>> {
    let enough = config::get("reorder_below").and_then(|text| text.parse::<i64>().ok());
    let Some(missing) = enough
        .map(|enough| enough - quantity)
        .filter(|missing| *missing > 0)
    else {
        return Ok(None);
    };
    let suppliers = Target::topic("suppliers").version("1.0");
    let args = json!({"name": name, "quantity": missing});
    Ok(Some(client::call(&suppliers, "order", &args)?))
}

fn invalid_quantity(name: &str, quantity: i64) -> Failure {
    let text = format!("the quantity of {name} cannot be {quantity}");
    Failure::new("inventory.exceptions", "InvalidQuantity", text)
        .with_kwarg("name", name)
        .with_kwarg("quantity", quantity)
        .expected()
}

fn item_not_found(name: &str) -> Failure {
    let text = format!("there is no item {name}");
    Failure::new("inventory.exceptions", "ItemNotFound", text)
        .with_kwarg("name", name)
        .expected()
}

#[cfg(test)]
mod tests {
    use super::*;
    use endpointd_guest::testing;

    #[test]
    fn what_runs_out_is_ordered() {
        testing::set_config("reorder_below", "5");
        testing::answer(|_, method, args| Ok(json!(format!("{method} {args}"))));
        let put = |quantity| Inventory.put(&Context::default(), "nut".to_owned(), quantity, None);
        assert_eq!(put(5).expect("an item").order, None);
        let put = put(3).expect("an item");
        let order = r#"order {"name":"nut","quantity":2}"#;
        assert_eq!((put.previous, put.order.as_deref()), (Some(5), Some(order)));
        assert_eq!(
            Inventory.get("bolt".to_owned()),
            Err(item_not_found("bolt"))
        );
    }
}
