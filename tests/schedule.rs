//! `bazgasht schedule`: weeks of it on made-up clocks, where no time passes; and real processes.

mod hosts;
mod real;
mod world;
