//! What one line tells us.
