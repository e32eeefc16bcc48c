//! `--resume` and `--shard`: pictures have names that are known before, are written as they are finished, and
//! are kept where they are there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use guide_runtime::image::{self, Picture, encode_png};
use guide_runtime::models::Pipeline;
use guide_runtime::run::{Finished, Request, samples_at_once};
use serde_json::Value;

use super::between::Between;
use super::output::{Output, make_folder};
use super::portions::{at_once, in_a_row};
use super::summary::About;
use super::trace::Watch;
use crate::args::{Run, Shard};
use crate::exit::{Failure, Result};
use crate::files::{folder_of, write_whole};

/// What is needed to go on.
pub struct Kept<'a> {
    pub args: &'a Run,
    pub output: &'a Output,
    pub about: &'a About,
    /// The samples that are not there.
    open: Vec<u32>,
    /// The samples that are.
    pub there: Vec<u32>,
}

/// What was made.
#[derive(Default)]
pub struct Made {
    pub evaluations: Vec<u64>,
    pub network: Duration,
    pub arithmetic: Duration,
    /// The samples that were drawn.
    pub samples: Vec<u32>,
    pub files: Vec<PathBuf>,
}

impl<'a> Kept<'a> {
    /// Looks for what is there of this part of the batch.
    ///
    /// # Errors
    /// Pictures of something else under their names; pictures at all where `--resume` is not given; a part of
    /// samples that see one another.
    pub fn find(
        args: &'a Run,
        shard: Option<Shard>,
        output: &'a Output,
        about: &'a About,
        coupled: bool,
    ) -> Result<Self> {
        if coupled && shard.is_some() {
            return Err(Failure::Usage(
                "the samples of this rule see one another, so that no part of them is drawn alone; \
                 leave out --shard"
                    .to_owned(),
            ));
        }
        let part = shard.map_or(0..args.batch, |shard| shard.of(args.batch));
        let mut kept = Self {
            args,
            output,
            about,
            open: Vec::new(),
            there: Vec::new(),
        };
        for sample in part {
            match kept.is_there(sample)? {
                true => kept.there.push(sample),
                false => kept.open.push(sample),
            }
        }
        if coupled && !kept.open.is_empty() {
            kept.open = (0..args.batch).collect();
            kept.there.clear();
        }
        Ok(kept)
    }

    /// How many are not there.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Whether a sample's picture is there, whole, and what this run would draw.
    fn is_there(&self, sample: u32) -> Result<bool> {
        let file = self.output.place_of(sample);
        if !file.exists() {
            return Ok(false);
        }
        if !self.args.resume {
            let message = format!("{} is there already; --resume keeps it", file.display());
            return Err(Failure::Usage(message));
        }
        // What was cut off is drawn again.
        let Some((_, record)) = whole(&file) else {
            return Ok(false);
        };
        match differs(&record, &self.about.value(sample as usize)) {
            None => Ok(true),
            Some(name) => Err(Failure::Usage(format!(
                "{} is of something else ({name}); name another --out",
                file.display()
            ))),
        }
    }

    /// Draws what is open, and writes it as it is finished.
    ///
    /// # Errors
    /// What the run reports; places that cannot be written to.
    pub fn draw(
        &self,
        request: &Request<'_>,
        pipeline: &mut Pipeline,
        watch: &mut Watch,
        made: &mut Made,
    ) -> Result<()> {
        let most = at_once(request.plan, self.args.batch);
        let most = most.min(samples_at_once(request) as u32);
        let portions = in_a_row(&self.open, most);
        let ticks = request.plan.timetable.ticks.len();
        for (at, samples) in portions.iter().enumerate() {
            let evaluations = made.evaluations.iter().sum();
            watch
                .bar
                .goes_on(at * ticks, portions.len() * ticks, evaluations);
            let between = self.args.every;
            watch.between = between.map(|every| Between::new(every, request.plan));
            let range = samples.start as usize..samples.end as usize;
            let finished = super::sample(self.args, request, range, pipeline, watch)?;
            self.keep(samples.start, &finished, pipeline, watch, request)?;
            let files = samples.clone().map(|sample| self.output.place_of(sample));
            made.files.extend(files);
            made.samples.extend(samples.clone());
            made.evaluations.extend(&finished.evaluations);
            made.network += finished.network;
            made.arithmetic += finished.arithmetic;
        }
        Ok(())
    }

    /// Writes the pictures of some samples, each after those on its way: where it is there, all are.
    fn keep(
        &self,
        first: u32,
        finished: &Finished,
        pipeline: &mut Pipeline,
        watch: &mut Watch,
        request: &Request<'_>,
    ) -> Result<()> {
        let drawn = super::decode(pipeline, finished, watch, request.stop)?;
        for (row, picture) in drawn.pictures.iter().enumerate() {
            let sample = first as usize + row;
            let file = self.output.place_of(first + row as u32);
            make_folder(&folder_of(&file))?;
            for one in drawn.between.iter().filter(|one| one.sample == sample) {
                let about = self.about.after(sample, one.step);
                write(&one.beside(&file), &encode_png(&one.picture, &about)?)?;
            }
            write(&file, &encode_png(picture, &self.about.text(sample))?)?;
        }
        Ok(())
    }

    /// The sheet of the whole batch, once all of it is there; whichever part ends last writes it.
    ///
    /// # Errors
    /// A place that cannot be written to.
    pub fn sheet(&self) -> Result<Option<PathBuf>> {
        let Some(place) = self.output.place_of_sheet() else {
            return Ok(None);
        };
        let mut pictures = Vec::with_capacity(self.args.batch as usize);
        for sample in 0..self.args.batch {
            let own = self.about.value(sample as usize);
            match whole(&self.output.place_of(sample)) {
                Some((picture, record)) if differs(&record, &own).is_none() => {
                    pictures.push(picture);
                }
                _ => return Ok(None),
            }
        }
        let sheet = super::output::sheet_of(&pictures);
        write(&place, &encode_png(&sheet, &self.about.text(0))?)?;
        Ok(Some(place))
    }
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    write_whole(file, bytes).map_err(|error| Failure::unwritable(file, error))
}

/// A picture and what it says of itself, where all of it is there.
fn whole(file: &Path) -> Option<(Picture, Value)> {
    let picture = image::read_rgb(file).ok()?;
    let record = image::read_record(file).ok()?;
    let record = record.and_then(|text| serde_json::from_str(&text).ok());
    Some((picture, record.unwrap_or(Value::Null)))
}

/// The first thing in which two pictures differ by what they say of themselves.
fn differs(there: &Value, own: &Value) -> Option<String> {
    if there == own {
        return None;
    }
    let (Some(there), Some(own)) = (there.as_object(), own.as_object()) else {
        return Some("it does not say what made it".to_owned());
    };
    let names = own.keys().chain(there.keys());
    let mut named = names.filter(|name| there.get(*name) != own.get(*name));
    // The plan is another wherever something else is, which says more.
    let Some(name) = named.find(|name| *name != "plan") else {
        return Some("it was made by another plan".to_owned());
    };
    let text = |of: Option<&Value>| of.map_or_else(|| "nothing".to_owned(), Value::to_string);
    Some(format!(
        "its `{name}` is {}, not {}",
        text(there.get(name)),
        text(own.get(name))
    ))
}
