//! What the integration tests stand on: a home of their own, a backend that obeys a script, parents
//! that pass for Claude, and one way to wait.

pub mod backend;
pub mod claude;
pub mod eventually;
pub mod fixtures;
pub mod http;
mod limits;
pub mod loopback;
pub mod parallel;
pub mod processes;
pub mod replay;
mod routes;
pub mod sandbox;
pub mod server;
