//! `guidec lsp`, asked by a scripted editor over the pipes of the real binary.

mod client;
mod conversation;
mod reading;
mod textmate;
mod writing;
