//! The classifiers of a run: those that are bound, and those that a model brings itself.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use guide_compiler::plan::{Classifier, Code, Gives, Op, Operand, Plan, Seen};

use super::autoencoder::Autoencoder;
use super::judge::{Judge, JudgeConfig, Sight};
use super::loss::Loss;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::predictor::{no_classifier, no_loss};
use crate::weights::Source;

/// Where a model brings a classifier itself, below its own folder.
pub fn own_folder(sees: Seen) -> &'static str {
    match sees {
        Seen::Noisy => "judge/noisy",
        Seen::X0 | Seen::Image => "judge/clean",
    }
}

/// All classifiers that were loaded.
#[derive(Debug, Default)]
pub(super) struct Judges {
    /// By the name that rules call them by.
    bound: BTreeMap<String, Judge>,
    /// The model's own, by their folder.
    own: BTreeMap<&'static str, Judge>,
    /// Losses, by the name that rules call them by.
    losses: BTreeMap<String, Loss>,
    /// The names of the classes, once they are known.
    names: Option<Vec<String>>,
}

impl Judges {
    /// Binds a classifier.
    ///
    /// # Errors
    /// What loading refuses; `NotBound` for a CLIP model without classes.
    pub fn bind(
        &mut self,
        name: &str,
        source: &Source,
        classes: &[String],
        device: &Device,
    ) -> Result<()> {
        let judge = Judge::load(source, classes, device)?;
        if judge.config().labels.len() < 2 {
            let message = format!("`{name}` is a CLIP model, and is given fewer than two classes");
            return Err(RuntimeError::new(ErrorKind::NotBound, message)
                .help(format!("add `--bind {name}.classes=TEXT` for each class")));
        }
        self.bound.insert(name.to_owned(), judge);
        Ok(())
    }

    /// Loads what a plan needs and is not bound from the model itself, and looks whether all of it fits
    /// the plan.
    ///
    /// # Errors
    /// `NotBound`; `BadBinding` for a classifier that sees something else, for latents of another size or
    /// with another number of classes; what loading refuses.
    pub fn ready(&mut self, plan: &Plan, model: &Source, device: &Device) -> Result<()> {
        for classifier in &plan.classifiers {
            if classifier.loss {
                self.loss(classifier)?;
                continue;
            }
            let folder = own_folder(classifier.sees);
            if !self.bound.contains_key(&classifier.name) && !self.own.contains_key(folder) {
                let source = model.below(folder);
                if !source.has("config.json") {
                    return Err(no_classifier(&classifier.name));
                }
                self.own.insert(folder, Judge::load(&source, &[], device)?);
            }
            let judge = self.of(classifier)?;
            sight_fits(classifier, judge)?;
            size_fits(classifier, judge, plan.head.model.latent)?;
        }
        self.same_classes(plan)?;
        self.name_classes(plan, model)
    }

    /// The classifier that a plan asks.
    ///
    /// # Errors
    /// `NotBound`.
    pub fn of(&self, classifier: &Classifier) -> Result<&Judge> {
        let own = || self.own.get(own_folder(classifier.sees));
        let judge = self.bound.get(&classifier.name).or_else(own);
        judge.ok_or_else(|| no_classifier(&classifier.name))
    }

    /// The names of the classes, where they are known.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Binds a loss.
    pub fn bind_loss(&mut self, name: &str, loss: Loss) {
        self.losses.insert(name.to_owned(), loss);
    }

    /// The loss that a plan asks.
    fn loss(&self, classifier: &Classifier) -> Result<&Loss> {
        let name = &classifier.name;
        self.losses.get(name).ok_or_else(|| no_loss(name))
    }

    /// Whether a gradient goes through the decoder.
    ///
    /// # Errors
    /// `NotBound`.
    pub fn asks_decoder(&self, plan: &Plan) -> Result<bool> {
        let asked = plan.judgements.iter();
        let asked = asked.filter(|row| row.gives == Gives::Gradient);
        for row in asked {
            let classifier = plan.classifiers.get(row.classifier.index());
            if let Some(classifier) = classifier
                && (classifier.loss || self.of(classifier)?.sees_picture())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One sample's logits, or a loss's value; `decode` makes a picture of a latent.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn logits(
        &self,
        classifier: &Classifier,
        latent: &Tensor,
        time: f64,
        decode: &dyn Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Vec<f64>> {
        if classifier.loss {
            let value = self.loss(classifier)?.value(&decode(latent)?)?;
            return Ok(vec![value]);
        }
        let judge = self.of(classifier)?;
        let showing = judge.config().shown(classifier.shown);
        if judge.sees_picture() {
            judge.logits(Sight::Picture(&decode(latent)?), time, &showing)
        } else {
            judge.logits(Sight::Latent(latent), time, &showing)
        }
    }

    /// One sample's gradient; what is shown a picture goes on through the decoder.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn gradient(
        &self,
        classifier: &Classifier,
        latent: &Tensor,
        time: f64,
        by: &[f64],
        decoder: &Autoencoder,
    ) -> Result<Tensor> {
        if classifier.loss {
            let loss = self.loss(classifier)?;
            let by = by.first().copied().unwrap_or(0.0);
            return decoder.decode_back(latent, &|picture| loss.gradient(picture, by));
        }
        let judge = self.of(classifier)?;
        let showing = judge.config().shown(classifier.shown);
        if judge.sees_picture() {
            let of = |picture: &Tensor| judge.gradient(Sight::Picture(picture), time, &showing, by);
            return decoder.decode_back(latent, &of);
        }
        judge.gradient(Sight::Latent(latent), time, &showing, by)
    }

    /// All classifiers of a rule speak of the same classes, which its plan may know.
    fn same_classes(&self, plan: &Plan) -> Result<()> {
        let mut first: Option<(&str, usize)> = None;
        for classifier in plan.classifiers.iter().filter(|c| !c.loss) {
            let name = classifier.name.as_str();
            let classes = self.of(classifier)?.config().labels.len();
            if let Some(known) = classifier
                .classes
                .filter(|known| *known as usize != classes)
            {
                return Err(bad(format!(
                    "the plan was made for a `{name}` of {known} classes, and it is bound to one of {classes}"
                ))
                .help("make the plan again"));
            }
            match first {
                Some((other, count)) if count != classes => {
                    return Err(bad(format!(
                        "`{other}` has {count} classes, and `{name}` has {classes}"
                    ))
                    .help("bind classifiers of the same classes"));
                }
                _ => first = Some((name, classes)),
            }
        }
        match first {
            Some((_, classes)) => numbers_fit(plan, classes),
            None => Ok(()),
        }
    }

    fn name_classes(&mut self, plan: &Plan, model: &Source) -> Result<()> {
        let mut names: Option<&[String]> = None;
        for classifier in plan.classifiers.iter().filter(|c| !c.loss) {
            let labels = self.of(classifier)?.config().labels.as_slice();
            match names {
                Some(other) if other != labels => {
                    names = None;
                    break;
                }
                _ => names = Some(labels),
            }
        }
        self.names = match names {
            Some(names) => Some(names.to_vec()),
            None if plan.classifiers.iter().all(|c| c.loss) => named_by(model)?,
            None => None,
        };
        Ok(())
    }
}

/// The classes that a model names itself.
fn named_by(model: &Source) -> Result<Option<Vec<String>>> {
    let source = model.below(own_folder(Seen::Image));
    if !source.has("config.json") {
        return Ok(None);
    }
    Ok(Some(JudgeConfig::read(&source, &[])?.labels))
}

fn bad(message: String) -> RuntimeError {
    RuntimeError::new(ErrorKind::BadBinding, message)
}

/// Whether a classifier sees what a rule shows it; of a clean latent it may see the picture.
fn sight_fits(classifier: &Classifier, judge: &Judge) -> Result<()> {
    let (shown, sees) = (classifier.sees, judge.config().sees);
    if shown == sees || (shown == Seen::X0 && sees == Seen::Image) {
        return Ok(());
    }
    Err(bad(format!(
        "`{}` is shown {}, and `{}` was trained to see {}",
        classifier.name,
        in_words(shown),
        judge.shown(),
        in_words(sees),
    ))
    .help(format!(
        "bind a classifier that sees {}, or declare `classifier {}(sees: {})` and show it that",
        in_words(shown),
        classifier.name,
        sees.name()
    )))
}

fn in_words(seen: Seen) -> &'static str {
    match seen {
        Seen::Noisy => "noisy latents",
        Seen::X0 => "clean latents",
        Seen::Image => "pictures",
    }
}

/// Whether latents have the size that a classifier of latents was trained on; pictures are brought to it.
fn size_fits(classifier: &Classifier, judge: &Judge, latent: [u32; 3]) -> Result<()> {
    let config = judge.config();
    if config.sees == Seen::Image {
        return match config.channels {
            3 => Ok(()),
            channels => Err(bad(format!(
                "`{}` sees pictures of {channels} channels, and the decoder makes 3",
                judge.shown()
            ))),
        };
    }
    let [channels, height, width] = latent.map(|side| side as usize);
    if (config.channels, config.size, config.size) == (channels, height, width) {
        return Ok(());
    }
    Err(bad(format!(
        "`{}` sees latents of {}x{size}x{size}, and those of this run are {channels}x{height}x{width}",
        classifier.name,
        config.channels,
        size = config.size,
    ))
    .help("bind a classifier of these latents, or leave out `--size`"))
}

/// Whether every class that a plan names by number is there.
fn numbers_fit(plan: &Plan, classes: usize) -> Result<()> {
    let ops = plan.segments.iter().flat_map(|segment| segment.ops());
    for Op { code, .. } in ops {
        let class = match code {
            Code::Pick(_, class) | Code::OneHot(_, class) | Code::Argmax(_, Some(class)) => class,
            _ => continue,
        };
        if let Operand::Number(number) = class
            && let Some(stray) = number.values.iter().find(|class| **class >= classes as f64)
        {
            return Err(no_class(&stray.to_string(), classes));
        }
    }
    Ok(())
}

/// The error for a class that is not there.
pub(super) fn no_class(class: &str, classes: usize) -> RuntimeError {
    bad(format!(
        "class {class} is asked for, and the classifier has {classes} classes"
    ))
    .help(format!("choose one of 0 to {}", classes.saturating_sub(1)))
}
