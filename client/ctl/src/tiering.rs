//! `promote`, `spill` and `rm`: changing where payloads are, or that they are.

use payload_manager_client::{Client, Descriptor, Promotion, SpillOptions};
use serde_json::json;

use crate::cli::{PromoteArgs, RmArgs, SpillArgs};
use crate::exit::{Each, Failure, Outcome};
use crate::output::{Output, line};

/// Copies a payload to a faster tier.
///
/// # Errors
/// It can't be done, or standard output not be written to.
pub(crate) async fn promote(client: &Client, output: Output, args: PromoteArgs) -> Outcome {
    let promotion = if args.background { Promotion::Background } else { Promotion::Wait };
    let promoted = client.promote_with(args.id, args.tier.into(), promotion).await;
    let descriptor = promoted.map_err(|error| Failure::from(error).about(args.id))?;
    moved(output, &descriptor)
}

/// Copies payloads to a slower tier and drops the faster copies.
///
/// # Errors
/// The first that could not be spilled.
pub(crate) async fn spill(client: &Client, output: Output, args: SpillArgs) -> Outcome {
    let options = SpillOptions {
        target: args.target.map(Into::into),
        wait: !args.background,
        wait_for_leases: args.wait,
        ..SpillOptions::default()
    };
    let ids = &args.which.ids;
    let mut each = Each::new(output.json);
    for (id, result) in ids.iter().zip(client.spill_with(ids, options).await?) {
        let result = result.map_err(|error| Failure::from(error).about(id));
        match each.take(result)? {
            Some(Some(descriptor)) => moved(output, &descriptor)?,
            Some(None) if output.json => output.object(&json!({ "id": id.to_string(), "state": "DELETED" }))?,
            Some(None) => line(&format!("{id} deleted"))?,
            None => {}
        }
    }
    each.end()
}

fn moved(output: Output, descriptor: &Descriptor) -> Outcome {
    let copies: Vec<_> = descriptor.copies.iter().map(|tier| tier.to_string()).collect();
    if output.json {
        return output.object(&json!({
            "id": descriptor.id.to_string(),
            "tier": descriptor.tier.to_string(),
            "state": descriptor.state.to_string(),
            "copies": copies,
        }));
    }
    line(&format!("{} {} ({})", descriptor.id, descriptor.tier, copies.join(", ")))
}

/// Deletes payloads.
///
/// # Errors
/// The first that could not be deleted.
pub(crate) async fn remove(client: &Client, json: bool, args: RmArgs) -> Outcome {
    let mut each = Each::new(json);
    for id in args.which.ids {
        let removed = if args.force { client.delete_by_force(id).await } else { client.delete(id).await };
        each.take(removed.map_err(|error| Failure::from(error).about(id)))?;
    }
    each.end()
}
