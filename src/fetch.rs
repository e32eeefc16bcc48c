//! A model or a classifier by its name: where it lies, or fetched from the Hugging Face hub with a bar.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use guide_compiler::plan::{Need, Plan};
use guide_runtime::error::ErrorKind;
use guide_runtime::inputs::NETWORK;
use guide_runtime::weights::Source;
use guide_runtime::weights::find::{Found, Kind, find, repository};

use crate::args::Dtype;
use crate::describe::places;
use crate::exit::Result;
use crate::ui::Ui;

/// How a model is looked for.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// Whether nothing may be fetched.
    pub offline: bool,
    /// Whether nothing is said.
    pub quiet: bool,
    /// Whether weights in f16 will do.
    pub half: bool,
    /// Set when the user asks to stop.
    pub stop: &'a AtomicBool,
}

impl<'a> Search<'a> {
    /// By the options of a command.
    pub fn new(offline: bool, quiet: bool, dtype: Option<Dtype>, stop: &'a AtomicBool) -> Self {
        Self {
            offline,
            quiet,
            half: matches!(dtype, Some(Dtype::F16 | Dtype::Bf16)),
            stop,
        }
    }
}

/// The model of that name, fetched where it lies nowhere and may be.
pub fn model(name: &str, search: Search<'_>, ui: Ui) -> Result<Found> {
    let kind = Kind::Pipeline { half: search.half };
    of_kind(name, kind, search, ui)
}

/// The classifier, or the network of a loss, in that folder or of that name.
pub fn network(name: &str, search: Search<'_>, ui: Ui) -> Result<Source> {
    if Path::new(name).exists() || repository(name).is_none() {
        return Ok(Source::Folder(name.into()));
    }
    Ok(of_kind(name, Kind::Network, search, ui)?.source)
}

/// Fetches the classifiers and the networks of losses that are bound by a name of the hub and lie nowhere
/// yet, so that a plan can be made by what they are. `plan` makes one without them, which says what the
/// bound names are; it is asked only where something may be missing.
pub fn networks(
    bind: &[(String, String)],
    search: Search<'_>,
    ui: Ui,
    plan: impl FnOnce() -> Result<Plan>,
) -> Result<()> {
    let is_absent = |value: &str| {
        !Path::new(value).exists() && repository(value).is_some() && find(value, &places()).is_err()
    };
    let absent = bind.iter().filter(|(_, value)| is_absent(value));
    let absent: Vec<&(String, String)> = absent.collect();
    if absent.is_empty() {
        return Ok(());
    }
    let plan = plan()?;
    for (name, value) in absent {
        let need = match name.strip_suffix(NETWORK) {
            Some(loss) => Need::Loss(loss.to_owned()),
            None => Need::Classifier(name.clone()),
        };
        if plan.head.needs.contains(&need) {
            network(value, search, ui)?;
        }
    }
    Ok(())
}

fn of_kind(name: &str, kind: Kind, search: Search<'_>, ui: Ui) -> Result<Found> {
    let places = places();
    let offline = search.offline || is_offline();
    let found = find(name, &places);
    let Some(repository) = repository(name) else {
        return Ok(found?);
    };
    let missing = matches!(&found, Err(error) if error.kind == ErrorKind::ModelNotFound);
    if offline || !cfg!(feature = "download") {
        let way_out = if offline && cfg!(feature = "download") {
            format!("leave out `--offline` to fetch `{repository}` from the Hugging Face hub")
        } else {
            format!("fetch it with `hf download {repository}`, or give the folder of a model")
        };
        return Ok(found.map_err(|error| match missing {
            true => error.help(way_out),
            false => error,
        })?);
    }
    hub::complete(name, repository, found, kind, search, ui)
}

/// What the hub's own tools take for "no network".
fn is_offline() -> bool {
    std::env::var("HF_HUB_OFFLINE").is_ok_and(|value| {
        ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
    })
}

#[cfg(not(feature = "download"))]
mod hub {
    use super::{Found, Kind, Result, Search, Ui};
    use guide_runtime::error::RuntimeError;

    pub fn complete(
        _: &str,
        _: &str,
        found: std::result::Result<Found, RuntimeError>,
        _: Kind,
        _: Search<'_>,
        _: Ui,
    ) -> Result<Found> {
        Ok(found?)
    }
}

#[cfg(feature = "download")]
mod hub {
    use guide_runtime::error::{ErrorKind, RuntimeError};
    use guide_runtime::run::stopped;
    use guide_runtime::weights::download::{Event, Hub, fetch, is_unfinished};
    use indicatif::ProgressBar;

    use super::{Found, Kind, Result, Search, Ui, find, places};

    const LINE: &str = "{msg}  {bar:30}  {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";

    /// The model, once all of it is there.
    pub fn complete(
        name: &str,
        repository: &str,
        found: std::result::Result<Found, RuntimeError>,
        kind: Kind,
        search: Search<'_>,
        ui: Ui,
    ) -> Result<Found> {
        let Some(cache) = places().hub else {
            return Ok(found?);
        };
        let is_elsewhere = |found: &Found| !matches!(&found.source, super::Source::Folder(folder) if folder.starts_with(&cache));
        match &found {
            Ok(found) if is_elsewhere(found) || !is_unfinished(repository, &cache) => {}
            Err(error) if error.kind != ErrorKind::ModelNotFound => {}
            _ => {
                let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
                let hub = Hub {
                    token: variable("HF_TOKEN").or_else(|| token(&cache)),
                    endpoint: variable("HF_ENDPOINT"),
                    cache,
                };
                let mut bar = Bar::new(search, ui);
                bar.say(&format!(
                    "fetching `{repository}` into {}",
                    hub.cache.display()
                ));
                fetch(repository, kind, &hub, &mut |event| bar.event(event))?;
                bar.end();
                return Ok(find(name, &places())?);
            }
        }
        Ok(found?)
    }

    /// What `hf auth login` keeps beside the cache.
    fn token(cache: &std::path::Path) -> Option<String> {
        let text = std::fs::read_to_string(cache.parent()?.join("token")).ok()?;
        Some(text.trim().to_owned()).filter(|token| !token.is_empty())
    }

    struct Bar<'a> {
        search: Search<'a>,
        ui: Ui,
        drawn: Option<ProgressBar>,
    }

    impl<'a> Bar<'a> {
        fn new(search: Search<'a>, ui: Ui) -> Self {
            let drawn = if search.quiet { None } else { ui.bar(LINE) };
            Self { search, ui, drawn }
        }

        fn say(&self, text: &str) {
            if !self.search.quiet {
                self.ui.say(text);
            }
        }

        fn event(&mut self, event: Event) -> guide_runtime::error::Result<()> {
            stopped(self.search.stop).inspect_err(|_| self.end())?;
            match (event, &self.drawn) {
                (Event::File(name, number, of), Some(bar)) => {
                    bar.set_message(format!("{number}/{of} {name}"));
                    bar.set_position(0);
                }
                (Event::File(name, number, of), None) => self.say(&format!("{number}/{of} {name}")),
                (Event::Size(size), Some(bar)) => {
                    bar.set_length(size);
                    bar.set_position(0);
                }
                (Event::Bytes(more), Some(bar)) => bar.inc(more),
                (Event::Check, Some(bar)) => bar.set_message("checking what came"),
                (Event::Wait, _) | (_, None) => {}
            }
            Ok(())
        }

        fn end(&self) {
            if let Some(bar) = &self.drawn {
                bar.finish_and_clear();
            }
        }
    }
}
