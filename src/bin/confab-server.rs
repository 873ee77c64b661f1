//! The embedded backend's binary.
fn main() {}
