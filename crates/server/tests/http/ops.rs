//! For those who run the server: what it says of itself, and what failures and restarts do.

mod forgotten;
mod health;
mod logs;
mod outages;
mod restart;
mod staleness;
