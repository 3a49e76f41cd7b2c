//! The console: pages and API, the same in a function and on loopback.
