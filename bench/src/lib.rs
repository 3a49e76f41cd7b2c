//! Benchmarks for the figures in the README.
