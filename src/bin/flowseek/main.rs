//! The program `flowseek`.

fn main() {}
