//! What the compiler cannot check.
