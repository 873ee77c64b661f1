//! Clients that are broken, slow or hostile cost their share and block nobody. What they cost is
//! memory of the server's process, never time: that depends on the machine.

mod bodies;
mod crowds;
mod requests;
mod strangers;
