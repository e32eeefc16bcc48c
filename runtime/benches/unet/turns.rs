//! Two ways to the same result, timed in turns, so that what else the machine does meets both alike.

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::{Result, Tensor};

/// What a call takes, of each side: the middle of all turns.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// candle's.
    pub theirs: Duration,
    /// guidec's.
    pub ours: Duration,
}

impl Times {
    /// Ours of theirs.
    pub fn ratio(self) -> f64 {
        self.ours.as_secs_f64() / self.theirs.as_secs_f64()
    }
}

/// Times both in `turns` turns, after one that is not counted. A turn repeats its call until `least` has
/// passed.
pub fn take(
    turns: usize,
    least: Duration,
    theirs: &dyn Fn() -> Result<Tensor>,
    ours: &dyn Fn() -> Result<Tensor>,
) -> Times {
    once(Duration::ZERO, theirs);
    once(Duration::ZERO, ours);
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..turns {
        times.0.push(once(least, theirs));
        times.1.push(once(least, ours));
    }
    Times {
        theirs: middle(times.0),
        ours: middle(times.1),
    }
}

/// The middle of several times.
pub fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn once(least: Duration, call: &dyn Fn() -> Result<Tensor>) -> Duration {
    let start = Instant::now();
    let mut calls = 0;
    loop {
        drop(black_box(call().unwrap()));
        calls += 1;
        if start.elapsed() >= least {
            return start.elapsed() / calls;
        }
    }
}

/// The largest difference, and the largest number of the first.
pub fn difference(wanted: &Tensor, found: &Tensor) -> (f32, f32) {
    let largest = |x: &Tensor| {
        let numbers = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        numbers.into_iter().map(f32::abs).fold(0.0, f32::max)
    };
    (largest(&(wanted - found).unwrap()), largest(wanted))
}

/// Milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
