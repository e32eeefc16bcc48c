//! A text-to-image model, loaded: what it is, what it predicts, and pictures from latents.

mod backward;
mod classes;
mod size;
mod world;

pub use size::MAX_SIDE;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use guide_compiler::plan::{
    Code, Condition, Look, ModelFacts, Operand, Plan, Prediction, PredictionId, Sees, Segment,
    Tick, Tokens,
};

use super::answer::{self, Answers, Asked};
use super::autoencoder::{Autoencoder, Tiling};
use super::conditions::{Conditions, Words};
use super::decoder::Decoder;
use super::judges::Judges;
use super::network::Network;
use super::sd::{self, VaeConfig};
use super::sharing::Sharing;
use super::text::{Encoded, TextSide};
use super::unrelated;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::interventions::{self, Borrowed, Hooks, Kept, Lent, Operands};
use crate::predictor::{JudgeQuestion, Predictor, Question, Verdict};
use crate::run::Distribution;
use crate::weights::Source;

/// A model in diffusers layout, loaded.
#[derive(Debug)]
pub struct Pipeline {
    facts: ModelFacts,
    source: Source,
    dtype: DType,
    device: Device,
    main: Network,
    autoencoder: Arc<Autoencoder>,
    tiling: Tiling,
    others: BTreeMap<String, Network>,
    conditions: Conditions,
    judges: Judges,
    max_batch: Option<usize>,
    passes: Vec<usize>,
    /// What this tick's evaluations kept for others, by tick, prediction and sample.
    kept: BTreeMap<(usize, PredictionId, usize), Kept>,
    /// Of which predictions which layers are kept.
    keeps: BTreeMap<PredictionId, Vec<Lent>>,
    sharing: Sharing,
    shared: usize,
}

impl Pipeline {
    /// Loads the model called `name` from its files. On a CPU it computes in f32 whatever `dtype` says.
    ///
    /// # Errors
    /// A part that is missing (`ModelIncomplete`), weights that are damaged, of another shape, missing or
    /// pickled, a config with unknown values, a tokenizer that cannot be used, a LoRA that does not fit.
    pub fn load(source: &Source, name: &str, dtype: DType, device: &Device) -> Result<Self> {
        let main = Network::main(source, dtype, device)?;
        let config = VaeConfig::read(source, "vae")?;
        if config.latent_channels != main.unet.config().in_channels {
            return Err(RuntimeError::new(
                ErrorKind::BadConfig,
                format!(
                    "`latent_channels` in `{}` is `{}`, and the UNet takes {}",
                    source.show("vae/config.json"),
                    config.latent_channels,
                    main.unet.config().in_channels
                ),
            ));
        }
        let autoencoder = Autoencoder::load(source, dtype, device)?;
        for lora in source.loras() {
            lora.all_used()?;
        }
        Ok(Self {
            facts: sd::facts(source, name)?,
            source: source.clone(),
            dtype,
            device: device.clone(),
            autoencoder: Arc::new(autoencoder),
            tiling: Tiling::Auto,
            main,
            others: BTreeMap::new(),
            conditions: Conditions::default(),
            judges: Judges::default(),
            max_batch: None,
            passes: Vec::new(),
            kept: BTreeMap::new(),
            keeps: BTreeMap::new(),
            sharing: Sharing::default(),
            shared: 0,
        })
    }

    /// Sets the texts of the run.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// How many samples went on from another question's pass, in all.
    pub fn shared(&self) -> usize {
        self.shared
    }

    /// Sets how many samples go through the network together at most; without, the device and the memory
    /// decide.
    pub fn set_max_batch(&mut self, most: Option<usize>) {
        self.max_batch = most;
    }

    /// Binds a second model under the name that rules call it by: a whole pipeline, or a folder with
    /// `unet/` only, which shares this model's text encoder.
    ///
    /// # Errors
    /// What loading refuses; `BadBinding` for latents of another shape.
    pub fn bind_model(&mut self, name: &str, source: &Source) -> Result<()> {
        let network = Network::second(source, &self.main, self.dtype, &self.device)?;
        self.others.insert(name.to_owned(), network);
        Ok(())
    }

    /// Binds a classifier under the name that rules call it by: a folder with `config.json` and weights.
    /// `classes` are texts for a CLIP model to tell apart.
    ///
    /// # Errors
    /// What loading refuses; `NotBound` for a CLIP model without classes.
    pub fn bind_classifier(
        &mut self,
        name: &str,
        source: &Source,
        classes: &[String],
    ) -> Result<()> {
        self.judges.bind(name, source, classes, &self.device)
    }

    /// Makes ready for a plan before its first step: loads the twins and classifiers that this model brings
    /// itself (`weak/unet`, `judge/noisy`), encodes every text, and checks that the layers of every
    /// intervention exist and that every classifier fits.
    ///
    /// # Errors
    /// `NotBound` for a model, a classifier or a text that is missing, `NoSuchLayers`, `NotYet`;
    /// `BadBinding` for conditions that the model does not take and classifiers that do not fit; what
    /// loading refuses.
    pub fn prepare(&mut self, plan: &Plan) -> Result<()> {
        if self.main.unet.config().added.is_none() {
            self.conditions.refuse_additions()?;
        }
        self.judges.ready(plan, &self.source, &self.device)?;
        self.goes_back(plan)?;
        self.enough_prompts(plan)?;
        for (row, prediction) in plan.predictions.iter().enumerate() {
            self.ready(prediction)?;
            let (index, step) = first_asked(plan, row);
            self.hooks(prediction, index, step, &[], &[])?;
        }
        for op in plan.segments.iter().flat_map(Segment::ops) {
            if let Code::Look {
                of: Operand::Prediction(id),
                look,
            } = &op.code
                && let Some(prediction) = plan.predictions.get(id.index())
            {
                self.seen_tokens(look, prediction)?;
            }
        }
        self.keeps.clear();
        for prediction in &plan.predictions {
            let names = self.network(prediction)?.unet.layers();
            for borrowed in interventions::borrowed(&prediction.interventions, names, 0)? {
                let keeps = self.keeps.entry(borrowed.from).or_default();
                keeps.push(borrowed.lent);
            }
        }
        // Elsewhere a sample's numbers may follow what goes through with it.
        let exact = self.device.is_cpu() && self.main.unet.dtype() == DType::F32;
        self.sharing = match exact {
            true => Sharing::of(plan, self.main.unet.layers()),
            false => Sharing::default(),
        };
        Ok(())
    }

    /// Pictures from latents: `[B, C, h, w]` to `[B, 3, H, W]` in 0..1, f32, one sample after another.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        self.decoder().decode(latents)
    }

    /// What makes pictures of latents, to be held while the model is asked.
    pub fn decoder(&self) -> Decoder {
        Decoder::new(Arc::clone(&self.autoencoder), self.tiling)
    }

    /// Sets when pictures are decoded in tiles.
    pub fn set_tiling(&mut self, tiling: Tiling) {
        self.tiling = tiling;
    }

    /// Whether 16 bits were too few for the autoencoder, so that it ran again in f32.
    pub fn widened(&self) -> bool {
        self.autoencoder.widened()
    }

    /// The most likely latents of pictures: `[B, 3, H, W]` in 0..1 to `[B, C, h, w]`.
    ///
    /// # Errors
    /// `BadSize`; what the tensor library reports.
    pub fn encode(&self, pictures: &Tensor) -> Result<Tensor> {
        let latents = (0..pictures.dim(0)?).map(|i| {
            let picture = pictures.narrow(0, i, 1)?;
            Ok(self.distribution(&picture)?.mean)
        });
        Ok(Tensor::cat(&latents.collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// What latents a picture has, `[1, 3, H, W]` in 0..1.
    ///
    /// # Errors
    /// `BadSize`; what the tensor library reports.
    pub fn distribution(&self, picture: &Tensor) -> Result<Distribution> {
        let (_, _, height, width) = picture.dims4()?;
        self.latent_size(width, height)?;
        self.autoencoder.distribution(picture)
    }

    /// The network that answers a prediction.
    fn network(&self, prediction: &Prediction) -> Result<&Network> {
        match &prediction.model {
            None => Ok(&self.main),
            Some(name) => self.others.get(name).ok_or_else(|| not_bound(name)),
        }
    }

    /// Loads and encodes what a prediction needs, unless that was done before.
    fn ready(&mut self, prediction: &Prediction) -> Result<()> {
        if let Some(name) = &prediction.model
            && !self.others.contains_key(name)
        {
            let twin = self.source.below(name);
            // A twin lies inside the model's own folder; a name that leads elsewhere is none.
            if name.contains(['/', '\\', '.']) || !twin.has("unet/config.json") {
                return Err(not_bound(name));
            }
            self.bind_model(name, &twin)?;
        }
        for condition in prediction.conditions() {
            // What the run finds is encoded when it is found.
            let found = is_found(condition);
            let words = self.words(condition, prediction, found.then_some(0))?;
            if !found {
                self.encode_words(prediction, &words)?;
            }
        }
        Ok(())
    }

    fn words(
        &self,
        condition: &Condition,
        prediction: &Prediction,
        class: Option<u32>,
    ) -> Result<Words> {
        let names = self.judges.names();
        self.conditions.words(condition, prediction, class, names)
    }

    fn encode_words(&mut self, prediction: &Prediction, words: &Words) -> Result<()> {
        let own = prediction
            .model
            .as_ref()
            .and_then(|name| self.others.get_mut(name))
            .and_then(|other| other.text.as_mut());
        match own.or(self.main.text.as_mut()) {
            Some(side) => side.encode(words, self.conditions.reading),
            None => Ok(()),
        }
    }

    /// What a prediction's network reads of words.
    fn encoded(&self, words: &Words, prediction: &Prediction) -> Result<&Encoded> {
        let network = self.network(prediction)?;
        let side = network.text.as_ref().or(self.main.text.as_ref());
        side.ok_or_else(|| not_bound("text"))?.encoded(words)
    }

    /// What the network of a question reads: one text for all rows, or one for each.
    fn text(&self, question: &Question<'_>) -> Result<Encoded> {
        let prediction = question.prediction;
        let of = |class: Option<u32>| {
            let words = self.words(&prediction.condition, prediction, class)?;
            self.encoded(&words, prediction)
        };
        if let Some(classes) = &question.class {
            let each = classes.iter().map(|class| of(Some(*class)));
            return Encoded::of_rows(&each.collect::<Result<Vec<_>>>()?);
        }
        match &question.drawn {
            Some(drawn) => unrelated::encoded(of(None)?, drawn),
            None => Ok(of(None)?.clone()),
        }
    }

    /// The places of the tokens that a look into a prediction is about.
    fn seen_tokens(&self, look: &Look, prediction: &Prediction) -> Result<Vec<u32>> {
        match look.of {
            Sees::Regions => {
                let (side, text) = self.reads(prediction)?;
                side.all_places(&text, self.conditions.reading)
            }
            _ => self.tokens(&look.tokens, prediction),
        }
    }

    /// The text that a prediction's network reads, and what reads it; one for all samples.
    fn reads(&self, prediction: &Prediction) -> Result<(&TextSide, Words)> {
        let network = self.network(prediction)?;
        let side = network.text.as_ref().or(self.main.text.as_ref());
        let side = side.ok_or_else(|| not_bound("text"))?;
        if is_found(&prediction.condition) {
            let message = format!(
                "`{}` has another text for each sample, in which no words are looked at yet",
                prediction.label
            );
            return Err(RuntimeError::new(ErrorKind::NotYet, message)
                .help("condition on one text for all samples"));
        }
        Ok((side, self.words(&prediction.condition, prediction, None)?))
    }

    /// The places of tokens in a prediction's text.
    fn tokens(&self, tokens: &Tokens, prediction: &Prediction) -> Result<Vec<u32>> {
        let words = match tokens {
            Tokens::Places(places) => return Ok(places.clone()),
            Tokens::Words(words) => words,
        };
        let (side, text) = self.reads(prediction)?;
        side.places(&text, words, self.conditions.reading)
    }

    /// What a question takes from other evaluations of this tick, and what each sample kept.
    fn borrowed(
        &self,
        tick: usize,
        question: &Question<'_>,
        network: &Network,
    ) -> Result<Vec<(Borrowed, Vec<&Kept>)>> {
        let names = network.unet.layers();
        let all = interventions::borrowed(&question.prediction.interventions, names, tick)?;
        let one = |borrowed: Borrowed| {
            let of = |sample: &usize| self.kept.get(&(tick, borrowed.from, *sample));
            let kept: Option<Vec<&Kept>> = question.rows.iter().map(of).collect();
            let kept = kept.ok_or_else(|| {
                let label = &question.prediction.label;
                let message =
                    format!("`{label}` takes from a prediction that was not asked before");
                RuntimeError::new(ErrorKind::BadPlan, message)
            })?;
            Ok((borrowed, kept))
        };
        all.into_iter().map(one).collect()
    }

    /// What is changed inside the network for a prediction.
    fn hooks(
        &self,
        prediction: &Prediction,
        tick: usize,
        step: u32,
        seeds: &[u64],
        maps: &[Tensor],
    ) -> Result<Hooks> {
        if prediction.interventions.is_empty() {
            return Ok(Hooks::default());
        }
        let states = |condition: &Condition| {
            if matches!(condition, Condition::Unrelated { .. }) {
                let message = format!("`{}` changes each sample by another text", prediction.label);
                return Err(RuntimeError::new(ErrorKind::BadPlan, message));
            }
            let unet = &self.network(prediction)?.unet;
            let words = self.words(condition, prediction, None)?;
            let states = &self.encoded(&words, prediction)?.states;
            Ok(states.to_device(unet.device())?.to_dtype(unet.dtype())?)
        };
        let unet = &self.network(prediction)?.unet;
        let on_device = maps.iter().map(|map| Ok(map.to_device(unet.device())?));
        let maps: Vec<Tensor> = on_device.collect::<Result<_>>()?;
        interventions::build(
            &prediction.interventions,
            unet.layers(),
            Operands {
                tick,
                step,
                seeds,
                states: &states,
                places: &|tokens| self.tokens(tokens, prediction),
                maps: &maps,
            },
        )
    }
}

/// Whether only the run finds what a condition says, for each sample.
fn is_found(condition: &Condition) -> bool {
    matches!(condition, Condition::ClassOf(_) | Condition::PromptOf(..))
}

impl Predictor for Pipeline {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn predict(
        &mut self,
        index: usize,
        tick: &Tick,
        questions: &[Question<'_>],
    ) -> Result<Vec<Tensor>> {
        for question in questions {
            self.ready(question.prediction)?;
            for class in question.class.iter().flatten() {
                let condition = &question.prediction.condition;
                let words = self.words(condition, question.prediction, Some(*class))?;
                self.encode_words(question.prediction, &words)?;
            }
        }
        // What an earlier tick kept is of another noise.
        self.kept.retain(|(of, _, _), _| *of == index);
        self.sharing.enter(index);
        let mut asked = Vec::with_capacity(questions.len());
        for question in questions {
            let network = self.network(question.prediction)?;
            let hooks = self.hooks(
                question.prediction,
                index,
                tick.step,
                &question.seeds,
                &question.maps,
            )?;
            let text = self.text(question)?;
            let keeps = self.keeps.get(&question.id).cloned().unwrap_or_default();
            let (_, _, height, width) = question.x.dims4()?;
            asked.push(Asked {
                question,
                network,
                text,
                framing: self.conditions.framing.of(self.picture_size(height, width)),
                hooks,
                borrowed: self.borrowed(index, question, network)?,
                begun: match keeps.is_empty() {
                    true => self.sharing.begun(question)?,
                    false => Vec::new(),
                },
                keeps,
                leave: self.sharing.leaves(question),
                tokens: question
                    .sights
                    .iter()
                    .map(|sight| self.seen_tokens(sight.look(), question.prediction))
                    .collect::<Result<_>>()?,
            });
        }
        if questions.iter().any(|question| question.by.is_some()) {
            // A batch asks for gradients alone, or for none: `Plan::check` looks at it.
            let gradients = answer::back(&asked, self.main.space, &self.device)?;
            drop(asked);
            self.passes = vec![1; questions.iter().map(|question| question.rows.len()).sum()];
            return Ok(gradients.into_iter().flatten().collect());
        }
        let begun = asked.iter().flat_map(|one| &one.begun);
        let shared = begun.filter(|begun| begun.is_some()).count();
        let Answers {
            answers,
            passes,
            kept,
            left,
        } = answer::all(&asked, self.main.space, self.max_batch, &self.device)?;
        drop(asked);
        self.shared += shared;
        for (question, rows) in questions.iter().zip(kept) {
            let rows = question.rows.iter().zip(rows);
            let kept = rows.filter(|(_, kept)| !kept.is_empty());
            let named = kept.map(|(sample, kept)| ((index, question.id, *sample), kept));
            self.kept.extend(named);
        }
        for (question, left) in questions.iter().zip(left) {
            self.sharing.keep(question, left)?;
        }
        self.passes = passes;
        Ok(answers)
    }

    fn judge(&mut self, _: usize, _: &Tick, question: &JudgeQuestion<'_>) -> Result<Verdict> {
        let row = |at: usize| -> Result<Tensor> {
            let one = question.of.narrow(0, at, 1)?;
            Ok(one.to_device(&self.device)?.contiguous()?)
        };
        let rows = 0..question.rows.len();
        let (judges, classifier) = (&self.judges, question.classifier);
        match &question.by {
            None => {
                let decode = |latent: &Tensor| self.autoencoder.decode(latent, Tiling::Auto);
                let each = rows.map(|at| judges.logits(classifier, &row(at)?, question.t, &decode));
                Ok(Verdict::Logits(each.collect::<Result<_>>()?))
            }
            Some(by) => {
                let each = rows.zip(by);
                let decoder = &*self.autoencoder;
                let each = each.map(|(at, by)| {
                    judges.gradient(classifier, &row(at)?, question.t, by, decoder)
                });
                let gradients = each.collect::<Result<Vec<_>>>()?;
                let gradients = Tensor::cat(&gradients, 0)?;
                Ok(Verdict::Gradient(
                    gradients.to_device(question.of.device())?,
                ))
            }
        }
    }

    fn passes(&self) -> Vec<usize> {
        self.passes.clone()
    }
}

/// The first tick that asks for a prediction, by its place and its step.
fn first_asked(plan: &Plan, prediction: usize) -> (usize, u32) {
    let asks = |s: &&Segment| s.uses().any(|one| one.prediction.index() == prediction);
    let Some(segment) = plan.segments.iter().find(asks) else {
        return (0, 0);
    };
    let is_first = |t: &Tick| t.step == segment.steps.0 && t.substep == segment.substep;
    let place = plan.timetable.ticks.iter().position(is_first);
    (place.unwrap_or(0), segment.steps.0)
}

fn not_bound(name: &str) -> RuntimeError {
    RuntimeError::new(
        ErrorKind::NotBound,
        format!("no model is bound as `{name}`"),
    )
    .help(format!(
        "add `--bind {name}=DIR` with the folder of a model, or of one part `unet/`"
    ))
}
