//! `--shard I/N`: a part of the pictures of a command.

use std::ops::Range;
use std::str::FromStr;

/// The I-th of N parts, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let says = || "write I/N, as in 0/4 for the first of four parts".to_owned();
        let (index, count) = text.split_once('/').ok_or_else(says)?;
        let number = |text: &str| text.trim().parse().map_err(|_| says());
        Shard::new(number(index)?, number(count)?)
    }
}

impl Shard {
    fn new(index: u64, count: u64) -> Result<Self, String> {
        if index < count {
            Ok(Self { index, count })
        } else {
            Err(format!(
                "there is no part {index} of {count}; they are counted from 0 to {}",
                count.saturating_sub(1)
            ))
        }
    }

    /// The part that is asked for, else what the environment says.
    ///
    /// # Errors
    /// Numbers in the environment that are none.
    pub fn or_of_environment(asked: Option<Self>) -> Result<Option<Self>, String> {
        match asked {
            Some(shard) => Ok(Some(shard)),
            None => Self::of_environment(&|name| std::env::var(name).ok()),
        }
    }

    /// What the environment of an array job says: Slurm's, or a Kubernetes Indexed Job's.
    ///
    /// # Errors
    /// Numbers that are none.
    fn of_environment(read: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let pairs = [
            (
                "SLURM_ARRAY_TASK_ID",
                "SLURM_ARRAY_TASK_COUNT",
                "SLURM_ARRAY_TASK_MIN",
            ),
            ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", ""),
        ];
        for (index, count, first) in pairs {
            let (Some(at), Some(of)) = (read(index), read(count)) else {
                continue;
            };
            let number = |name: &str, text: &str| {
                text.trim()
                    .parse::<u64>()
                    .map_err(|_| format!("{name} is `{text}`, which is no number"))
            };
            // Slurm's tasks may be counted from another number than 0.
            let first = read(first).unwrap_or_else(|| "0".to_owned());
            let at = number(index, &at)?.saturating_sub(number("the first task", &first)?);
            return Shard::new(at, number(count, &of)?).map(Some);
        }
        Ok(None)
    }

    /// Its part of a batch: as many as the others', or one more.
    pub fn of(self, batch: u32) -> Range<u32> {
        let end = |index: u64| (u64::from(batch) * index / self.count) as u32;
        end(self.index)..end(self.index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_and_none_twice() {
        for (batch, count) in [(16u32, 4u64), (7, 3), (2, 5), (1, 1)] {
            let parts = (0..count).map(|index| Shard { index, count }.of(batch));
            let all: Vec<u32> = parts.flatten().collect();
            assert_eq!(all, (0..batch).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_no_part_is_refused() {
        assert_eq!("1/4".parse(), Ok(Shard { index: 1, count: 4 }));
        for wrong in ["4/4", "1", "a/b", "0/0", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn array_jobs_name_their_part() {
        let of = |pairs: &'static [(&str, &str)]| {
            Shard::of_environment(&move |name| {
                let found = pairs.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(of(&[]), Ok(None));
        let slurm = of(&[
            ("SLURM_ARRAY_TASK_ID", "3"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
            ("SLURM_ARRAY_TASK_MIN", "1"),
        ]);
        assert_eq!(slurm, Ok(Some(Shard { index: 2, count: 4 })));
        let indexed = of(&[("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "8")]);
        assert_eq!(indexed, Ok(Some(Shard { index: 0, count: 8 })));
        assert!(of(&[("JOB_COMPLETION_INDEX", "x"), ("JOB_COMPLETIONS", "8")]).is_err());
        // Without a count one job is not a part.
        assert_eq!(of(&[("JOB_COMPLETION_INDEX", "5")]), Ok(None));
    }
}
