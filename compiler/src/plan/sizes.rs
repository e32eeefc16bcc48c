//! How large a plan may be: a saved one may claim any size, and what runs it makes room for it.

use super::{Code, Filter, NoiseTable, Op, Plan, Segment, Shape};

/// The most sampling steps of a plan.
pub const MOST_STEPS: u32 = 1000;
/// The most turns of an objective.
pub const MOST_TURNS: u32 = 10_000;
/// The most training timesteps of a table of betas.
pub const MOST_TRAIN_STEPS: u32 = 100_000;

/// The most evaluations of the rule: more than any sampler makes of [`MOST_STEPS`].
const MOST_TICKS: usize = 1 << 14;
/// The largest side of a latent, and the most rows of a table.
const MOST: usize = 1 << 20;
/// The most elements of a latent: 1 GiB.
const MOST_ELEMENTS: u64 = 1 << 28;
/// The most elements of all state and of what a segment computes, for each sample: 4 GiB.
const MOST_IN_ALL: u64 = 1 << 30;
/// The longest side of a plane that is filtered: a filter is a matrix of side by side.
const MOST_FILTERED: u32 = 8192;

impl Plan {
    /// Checks the sizes that a plan names, before anything is made of them.
    pub(super) fn sizes(&self) -> Result<(), String> {
        let ticks = self.timetable.ticks.len();
        if ticks == 0 || ticks > MOST_TICKS {
            return Err(format!("it has {ticks} ticks"));
        }
        let most = match self.head.objective {
            Some(_) => MOST_TURNS,
            None => MOST_STEPS,
        };
        if self.head.steps == 0 || self.head.steps > most {
            return Err(format!("it has {} steps", self.head.steps));
        }
        let tables = [
            ("segments", self.segments.len(), ticks),
            ("predictions", self.predictions.len(), MOST),
            ("inputs", self.inputs.len(), MOST),
            ("classifiers", self.classifiers.len(), MOST),
            ("judgements", self.judgements.len(), MOST),
            ("states", self.states.len(), MOST),
            ("decisions", self.decisions.len(), MOST),
        ];
        if let Some((what, count, _)) = tables.iter().find(|(_, count, most)| count > most) {
            return Err(format!("it has {count} {what}"));
        }
        if let NoiseTable::Betas { count, .. } = &self.timetable.noise
            && !(1..=MOST_TRAIN_STEPS).contains(count)
        {
            return Err(format!("its noise has {count} training timesteps"));
        }
        self.latent()?;
        self.segments.iter().try_for_each(|s| self.room(s))
    }

    fn latent(&self) -> Result<(), String> {
        let sides = self.head.model.latent;
        let fits = |side: &u32| (1..=MOST).contains(&(*side as usize));
        if sides.iter().all(fits) && self.elements(Shape::Tensor) <= MOST_ELEMENTS {
            return Ok(());
        }
        let [channels, height, width] = sides;
        Err(format!("its latent is {channels} x {height} x {width}"))
    }

    /// Elements of a value for each sample. No side is over 2^20, so that nothing overflows.
    fn elements(&self, shape: Shape) -> u64 {
        let [channels, height, width] = self.head.model.latent.map(u64::from);
        match shape {
            Shape::Scalar | Shape::Bool | Shape::Class => 1,
            Shape::Tensor => channels * height * width,
            Shape::Map => height * width,
            Shape::PerChannel => channels,
            Shape::Scores => self.most_classes(),
        }
    }

    /// The most classes that a classifier of the plan is known to have.
    fn most_classes(&self) -> u64 {
        let known = self.classifiers.iter().filter_map(|c| c.classes);
        u64::from(known.max().unwrap_or(1))
    }

    /// Whether there is room for what a segment computes beside all state, of which there are two
    /// copies: as it was and as it will be.
    fn room(&self, segment: &Segment) -> Result<(), String> {
        let count = segment.values.len();
        if count > MOST {
            return Err(format!("it has a segment of {count} values"));
        }
        let values = segment.values.iter().map(|v| v.shape);
        let states = self.states.iter().flat_map(|s| [s.shape, s.shape]);
        let all: u64 = values.chain(states).map(|s| self.elements(s)).sum();
        if all > MOST_IN_ALL {
            return Err(format!("it needs room for {all} numbers a sample"));
        }
        let [_, height, width] = self.head.model.latent;
        let filters = |op: &Op| matches!(op.code, Code::Filter(..));
        if height.max(width) > MOST_FILTERED && segment.ops().any(filters) {
            return Err(format!("it filters a plane of {height} x {width}"));
        }
        segment.ops().try_for_each(filter)
    }
}

/// Whether a filter is of a size that can be made.
fn filter(op: &Op) -> Result<(), String> {
    match &op.code {
        Code::Filter(Filter::GaussianBlur { taps, .. }, _) if taps % 2 == 0 || *taps > 1001 => {
            Err(format!("it blurs with {taps} taps"))
        }
        Code::Filter(Filter::Band { level, of }, _) if level >= of || *of > 16 => {
            Err(format!("it takes band {level} of {of}"))
        }
        _ => Ok(()),
    }
}
