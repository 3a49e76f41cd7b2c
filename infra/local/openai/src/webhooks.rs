//! Webhook deliveries: the endpoints they go to, their signatures, their retries, and a record of every attempt.

mod api;
mod control;
mod delivery;
mod delivery_spec;
mod endpoint;
mod event;
mod managed_endpoint;
mod signing;

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

pub(crate) use self::api::api;
pub(crate) use self::control::control;
pub(crate) use self::delivery::Delivery;
use self::delivery::{Deliveries, HttpClient};
use self::delivery_spec::DeliverySpec;
use self::endpoint::Endpoint;
pub(crate) use self::event::Event;
use self::managed_endpoint::{ManagedEndpoint, Secrets};
use crate::errors::ApiError;
use crate::ids::hex_id;
use crate::store::{Store, lock};

/// The name of the endpoints that get a project's events.
const PROJECT: &str = "project";

/// The endpoints, and the deliveries to them.
pub(crate) struct Webhooks {
    /// Registered by command: each gets every event that is sent to its name.
    registered: Mutex<Vec<Endpoint>>,
    /// Managed through `/v1`: each gets the project's events that it subscribes to.
    managed: Arc<Store<Secrets>>,
    deliveries: Mutex<Deliveries>,
    client: HttpClient,
    retry_factor: f64,
}

impl Webhooks {
    pub(crate) fn new(retry_factor: f64) -> Arc<Self> {
        Arc::new(Self {
            registered: Mutex::default(),
            managed: Store::new(|id| ApiError::not_found(format!("No webhook endpoint found with id '{id}'."))),
            deliveries: Mutex::default(),
            client: delivery::client(),
            retry_factor,
        })
    }

    /// Starts the deliveries of an event and returns without waiting for them.
    pub(crate) fn send(self: &Arc<Self>, event: Event) -> Vec<Delivery> {
        let endpoint = event.endpoint.clone();
        let started = self.start_all(&endpoint, &DeliverySpec::of(event), 1);
        self.deliveries(|delivery| started.iter().any(|(number, _)| *number == delivery.number))
    }

    /// Sends the event if the condition holds.
    pub(crate) fn send_if(self: &Arc<Self>, condition: bool, event: Event) -> Vec<Delivery> {
        if condition { self.send(event) } else { Vec::new() }
    }

    /// Starts `copies` deliveries to every endpoint of this name that takes the event. Returns their numbers, and the
    /// notices of their first attempts.
    fn start_all(
        self: &Arc<Self>,
        name: &str,
        spec: &DeliverySpec,
        copies: usize,
    ) -> Vec<(u64, oneshot::Receiver<()>)> {
        self.endpoints_for(name, spec.event_type.as_deref())
            .iter()
            .flat_map(|endpoint| {
                // OpenAI gives each endpoint's delivery its own id; copies share it.
                let webhook_id = spec.webhook_id.clone().unwrap_or_else(|| hex_id("wh_"));
                let spec = DeliverySpec { webhook_id: Some(webhook_id), ..spec.clone() };
                (0..copies).map(move |_| self.start(endpoint, spec.clone()))
            })
            .collect()
    }

    fn deliveries(&self, wanted: impl Fn(&Delivery) -> bool) -> Vec<Delivery> {
        lock(&self.deliveries).by_number.values().filter(|delivery| wanted(delivery)).cloned().collect()
    }

    fn endpoints_for(&self, name: &str, event_type: Option<&str>) -> Vec<Endpoint> {
        let mut endpoints = lock(&self.registered).clone();
        endpoints.retain(|endpoint| endpoint.name == name);
        if name == PROJECT {
            let managed = self.managed.all();
            endpoints
                .extend(managed.iter().filter(|endpoint| endpoint.wants(event_type)).map(ManagedEndpoint::endpoint));
        }
        endpoints
    }

    /// The endpoint as it is now.
    fn endpoint(&self, id: &str) -> Option<Endpoint> {
        let registered = lock(&self.registered).iter().find(|endpoint| endpoint.id == id).cloned();
        registered.or_else(|| self.managed.get(id).ok().map(|endpoint| endpoint.endpoint()))
    }
}

/// The default of `deliver` and `retry`.
pub(crate) fn yes() -> bool {
    true
}
