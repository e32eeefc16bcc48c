//! Names, modules and cycles, on programs in memory.
