//! Every rule of the standard library, found by walking it: against formulas in f64, and the laws that
//! hold for all of them. A new rule is tested by itself, or says here why it is an exception.
#![allow(dead_code, reason = "modules shared with other tests")]

mod algebra;
mod by_formula;
mod case;
mod draw;
mod field;
mod formulas;
mod gradients;
mod judged;
mod laws;
mod objectives;
#[path = "../pipeline/mod.rs"]
mod pipeline;
mod planes;
mod regions;
mod spaces;
mod ticks;
mod walk;

use libtest_mimic::Arguments;

fn main() {
    let mut trials = by_formula::trials();
    trials.extend(laws::trials());
    trials.extend(gradients::trials());
    trials.extend(objectives::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
