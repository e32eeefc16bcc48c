//! Work on many files at a time, with the results in the order of the files.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// As much as a program's first thread has on most machines: rules may nest as deeply as anywhere else.
const STACK_BYTES: usize = 8 << 20;

/// What `work` makes of every item, in their order, with at most `jobs` threads.
pub fn each<I: Sync, O: Send>(items: &[I], jobs: usize, work: impl Fn(&I) -> O + Sync) -> Vec<O> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let take = || {
        while let Some((at, item)) = next_of(items, &next) {
            let made = work(item);
            let mut done = done.lock().unwrap_or_else(|broken| broken.into_inner());
            done.push((at, made));
        }
    };
    thread::scope(|scope| {
        for _ in 1..jobs.min(items.len()) {
            // Where the machine gives no more threads, those that run do the work.
            let builder = thread::Builder::new().stack_size(STACK_BYTES);
            if builder.spawn_scoped(scope, take).is_err() {
                break;
            }
        }
        take();
    });
    let mut done = done
        .into_inner()
        .unwrap_or_else(|broken| broken.into_inner());
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, made)| made).collect()
}

fn next_of<'a, I>(items: &'a [I], next: &AtomicUsize) -> Option<(usize, &'a I)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    items.get(at).map(|item| (at, item))
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use super::each;

    #[test]
    fn results_have_the_order_of_the_items() {
        let items: Vec<u64> = (0..40).collect();
        // The later an item, the sooner it is done.
        let slowly = |item: &u64| {
            sleep(Duration::from_micros(40 - item));
            item * 2
        };
        let wanted: Vec<u64> = items.iter().map(|item| item * 2).collect();
        for jobs in [0, 1, 3, 100] {
            assert_eq!(each(&items, jobs, slowly), wanted);
        }
        assert!(each(&[], 4, slowly).is_empty());
    }
}
