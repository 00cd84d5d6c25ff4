//! The online keyring: a sealed document that the server keeps and cannot open.

mod changing;
mod logins;
mod opening;
mod secrecy;
mod storing;
mod tries;
mod uploads;
