//! The language as its manual tells it.

mod manual;
