//! Placeholder while the support is compiled.
