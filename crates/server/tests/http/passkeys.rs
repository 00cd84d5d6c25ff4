//! Passkeys: made, used to sign in, and asked for changes of an account.

mod adding;
mod doubt;
mod keys_of_others;
mod options;
mod registration;
mod sign_in;
mod step_up;
