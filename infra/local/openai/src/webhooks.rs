//! Webhook deliveries: the endpoints they go to, their signatures, their retries, and a record of every attempt.

mod control;
mod delivery;
mod endpoint;
mod event;
mod parcel;
mod retries;
mod signing;

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

pub(crate) use self::control::control;
pub(crate) use self::delivery::Delivery;
use self::delivery::{HttpClient, Ledger};
use self::endpoint::Endpoint;
pub(crate) use self::endpoint::Scope;
pub(crate) use self::event::Event;
use self::parcel::Parcel;
use self::retries::Retries;
use crate::app::lock;
use crate::ids::hex_id;

/// Where deliveries go, and what became of them.
pub(crate) struct Webhooks {
    endpoints: Mutex<Vec<Endpoint>>,
    ledger: Mutex<Ledger>,
    client: HttpClient,
    retries: Retries,
}

impl Webhooks {
    pub(crate) fn new(retry_factor: f64) -> Self {
        Self {
            endpoints: Mutex::default(),
            ledger: Mutex::default(),
            client: delivery::client(),
            retries: Retries::shortened_by(retry_factor),
        }
    }

    /// Delivers an event to every endpoint of the scope, as OpenAI would, and doesn't wait for it.
    pub(crate) fn send(self: &Arc<Self>, scope: Scope, event: Event) -> Vec<Delivery> {
        let numbers: Vec<u64> =
            self.dispatch(scope, &Parcel::of(event), 1).into_iter().map(|(number, _)| number).collect();
        self.deliveries(|delivery| numbers.contains(&delivery.number))
    }

    /// Starts `copies` deliveries to every endpoint of the scope. Their numbers, and word of their first attempts.
    fn dispatch(self: &Arc<Self>, scope: Scope, parcel: &Parcel, copies: usize) -> Vec<(u64, oneshot::Receiver<()>)> {
        self.endpoints_of(scope)
            .iter()
            .flat_map(|endpoint| {
                // OpenAI gives every endpoint's delivery an id of its own; copies of it share that.
                let webhook_id = parcel.webhook_id.clone().unwrap_or_else(|| hex_id("wh_"));
                let mut parcel = parcel.clone();
                parcel.webhook_id = Some(webhook_id);
                (0..copies).map(move |_| self.start(endpoint, parcel.clone()))
            })
            .collect()
    }

    fn deliveries(&self, wanted: impl Fn(&Delivery) -> bool) -> Vec<Delivery> {
        lock(&self.ledger).deliveries.values().filter(|delivery| wanted(delivery)).cloned().collect()
    }

    fn endpoints_of(&self, scope: Scope) -> Vec<Endpoint> {
        lock(&self.endpoints).iter().filter(|endpoint| endpoint.scope == scope).cloned().collect()
    }
}

/// What a command does about webhooks unless it says otherwise.
pub(crate) fn yes() -> bool {
    true
}
