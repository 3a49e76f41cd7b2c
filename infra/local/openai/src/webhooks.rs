//! Webhook deliveries: the endpoints they go to, their signatures, their retries, and a record of every attempt.

mod api;
mod checks;
mod control;
mod delivery;
mod endpoint;
mod event;
mod managed;
mod parcel;
mod retries;
mod samples;
mod signing;

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

pub(crate) use self::api::api;
pub(crate) use self::control::control;
pub(crate) use self::delivery::Delivery;
use self::delivery::{HttpClient, Ledger};
use self::endpoint::Endpoint;
pub(crate) use self::endpoint::Scope;
pub(crate) use self::event::Event;
use self::managed::Managed;
use self::parcel::Parcel;
use self::retries::Retries;
use crate::app::lock;
use crate::ids::hex_id;
use crate::shelf::{Order, Shelf};

/// Where deliveries go, and what became of them.
pub(crate) struct Webhooks {
    /// Registered by command: they get every event of their scope.
    endpoints: Mutex<Vec<Endpoint>>,
    /// Managed through `/v1`: they get what they subscribe to.
    managed: Shelf<Managed>,
    ledger: Mutex<Ledger>,
    client: HttpClient,
    retries: Retries,
}

impl Webhooks {
    pub(crate) fn new(retry_factor: f64) -> Self {
        Self {
            endpoints: Mutex::default(),
            managed: Shelf::default(),
            ledger: Mutex::default(),
            client: delivery::client(),
            retries: Retries::shortened_by(retry_factor),
        }
    }

    /// Delivers an event to every endpoint that it is for, as OpenAI would, and doesn't wait for it.
    pub(crate) fn send(self: &Arc<Self>, scope: Scope, event: Event) -> Vec<Delivery> {
        let numbers: Vec<u64> =
            self.dispatch(scope, &Parcel::of(event), 1).into_iter().map(|(number, _)| number).collect();
        self.deliveries(|delivery| numbers.contains(&delivery.number))
    }

    /// Starts `copies` deliveries to every endpoint that they are for. Their numbers, and word of their first attempts.
    fn dispatch(self: &Arc<Self>, scope: Scope, parcel: &Parcel, copies: usize) -> Vec<(u64, oneshot::Receiver<()>)> {
        self.endpoints_for(scope, parcel.event_type.as_deref())
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

    fn endpoints_for(&self, scope: Scope, event_type: Option<&str>) -> Vec<Endpoint> {
        let registered = lock(&self.endpoints).iter().filter(|endpoint| endpoint.scope == scope).cloned().collect();
        let wants = |endpoint: &Managed| scope == Scope::Project && endpoint.wants(event_type);
        let managed = self.managed.page(None, usize::MAX, Order::Asc, wants).map(|page| page.data);
        let managed = managed.iter().flatten().map(Managed::endpoint);
        Vec::into_iter(registered).chain(managed).collect()
    }

    /// As it is now.
    fn endpoint(&self, id: &str) -> Option<Endpoint> {
        let registered = lock(&self.endpoints).iter().find(|endpoint| endpoint.id == id).cloned();
        registered.or_else(|| self.managed.get(id).map(|endpoint| endpoint.endpoint()))
    }
}

/// What a command does about webhooks unless it says otherwise.
pub(crate) fn yes() -> bool {
    true
}
