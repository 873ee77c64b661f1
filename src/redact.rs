//! Secrets out, every other byte untouched.
