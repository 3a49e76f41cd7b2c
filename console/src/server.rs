//! The console on this machine.

use std::net::Ipv4Addr;

use axum::Router;
use tokio::net::TcpListener;

use crate::console::Console;
use crate::http::session::Role;
use crate::view::layout::BASE;
use crate::{Failure, Result};

/// The console on loopback, ready to be served.
pub struct Server {
    listener: TcpListener,
    router: Router,
    link: String,
}

impl Console {
    /// Binds a port of 127.0.0.1 (0 for a free one), for the person `name`.
    pub async fn bind(self, port: u16, name: &str, role: Role) -> Result<Server> {
        let refused = |error| {
            Failure::usage(format!("cannot listen on 127.0.0.1:{port}: {error}")).hint("Choose another --port.")
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(refused)?;
        let port = listener.local_addr().map_err(refused)?.port();
        let (router, token) = self.router(port, name, role)?;
        Ok(Server { listener, router, link: format!("http://127.0.0.1:{port}{BASE}/enter?link={token}") })
    }
}

impl Server {
    /// The link that lets somebody in, once.
    #[must_use]
    pub fn link(&self) -> &str {
        &self.link
    }

    /// Serves until it is dropped.
    pub async fn serve(self) -> Result<()> {
        let served = axum::serve(self.listener, self.router).await;
        served.map_err(|error| Failure::service(format!("the server ended: {error}")))
    }
}
