//! All unsafe code and all libc.
