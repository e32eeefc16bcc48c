//! The whole compiler in two calls: [`read`] a file, then [`compile`] a guide of it.

use sha2::{Digest, Sha256};

use crate::check::{self, Inline};
use crate::diagnostics::{Bag, Code, Diagnostic, suggest};
use crate::graph::Graph;
use crate::model::Model;
use crate::plan::{ModelFacts, Objective, Plan, Timetable};
use crate::resolve::resolve;
use crate::resolved::{ItemId, ItemKind, Program};
use crate::schedule::{self, Backward, KnownClassifier, Target};
use crate::sources::{Loaded, SourceMap, Sources};
use crate::timetable::{Sampler, SchedulerConfig, SolverFacts, Spacing, inverse, shortened, turns};
use guide_grammar::ast::FunctionKind;

/// A file and all that it uses, resolved and checked.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The root file's name, as users see it.
    pub path: String,
    /// Names bound, imports gone.
    pub program: Program,
    /// Every text that was read.
    pub files: SourceMap,
    /// Everything there is to say, whatever the settings.
    pub diagnostics: Bag,
}

/// Reads and checks a file.
pub fn read(root: Loaded, sources: &dyn Sources) -> Analysis {
    let path = root.path.clone();
    let mut files = SourceMap::default();
    let (program, mut diagnostics) = resolve(root, sources, &mut files);
    diagnostics.extend(check::check(&program));
    Analysis {
        path,
        program,
        files,
        diagnostics,
    }
}

/// What a guide is compiled for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The guide's name; without it, the only one, or the one named like the file.
    pub guide: Option<String>,
    /// Parameters, as texts of const expressions.
    pub settings: Vec<(String, String)>,
    /// How many prompts are bound to each `Prompt[]` input.
    pub prompt_counts: Vec<(String, u32)>,
    /// The rows of tables that are bound.
    pub tables: Vec<(String, Vec<Vec<f64>>)>,
    /// Whether a negative prompt is given, so that `uncond` and `null` differ.
    pub negative: bool,
    /// The model.
    pub facts: ModelFacts,
    /// When the rule is evaluated.
    pub times: Times,
    /// Number of sampling steps.
    pub steps: u32,
    /// How much of the way a run goes that starts from a picture, 0 to 1; without it the run starts
    /// from noise.
    pub strength: Option<f64>,
    /// What is known of the classifiers that are bound, and of the model's own.
    pub classifiers: Vec<KnownClassifier>,
    /// What is known of backward passes.
    pub backward: Backward,
}

/// The name of the solver that walks backwards, in plans.
const INVERSE: &str = "ddim_inverse";
/// The name of what goes down the gradient of an objective, in plans.
const OPTIMISER: &str = "adam";

/// Where the ticks of a plan come from.
#[derive(Clone, Debug)]
pub enum Times {
    /// A solver spreads them over the model's noise.
    Sampler {
        /// The model's noise.
        scheduler: SchedulerConfig,
        /// The solver.
        sampler: Sampler,
        /// How the steps are spread; without it, as the model says.
        spacing: Option<Spacing>,
    },
    /// Ddim walks them backwards, from a picture's latents to noise.
    Inversion {
        /// The model's noise.
        scheduler: SchedulerConfig,
        /// How the steps are spread; without it, as the model says.
        spacing: Option<Spacing>,
    },
    /// They are an objective's turns.
    Turns {
        /// The model's noise.
        scheduler: SchedulerConfig,
        /// From where to where in the noise times are drawn: shares of it, 0 to 1.
        range: (f64, f64),
    },
    /// They are those of a recording, which follows any outcome.
    Recording(Timetable),
}

impl Request {
    /// 20 steps of ddim with nothing set, and a negative prompt.
    pub fn new(model: Model) -> Self {
        Self {
            guide: None,
            settings: Vec::new(),
            prompt_counts: Vec::new(),
            tables: Vec::new(),
            negative: true,
            facts: model.facts,
            times: Times::Sampler {
                scheduler: model.scheduler,
                sampler: Sampler::default(),
                spacing: None,
            },
            steps: 20,
            strength: None,
            classifiers: Vec::new(),
            backward: Backward::default(),
        }
    }

    /// The steps that are taken: all, or the last ones of a run that starts from a picture.
    fn taken(&self) -> u32 {
        // As diffusers counts them: what the product has of a step counts for none.
        let share = |strength: f64| (f64::from(self.steps) * strength) as u32;
        self.strength
            .map_or(self.steps, |strength| share(strength).min(self.steps))
    }

    fn timetable(&self) -> Result<Timetable, Diagnostic> {
        let skipped = self.steps - self.taken();
        if let Some(strength) = self.strength
            && self.taken() == 0
            && self.steps > 0
        {
            let steps = self.steps;
            let message = format!("a strength of {strength} leaves none of {steps} steps");
            return Err(Diagnostic::new(Code::StepsOutOfRange, message)
                .help("raise `--strength` or `--steps`"));
        }
        match &self.times {
            Times::Sampler {
                scheduler,
                sampler,
                spacing,
            } => shortened(scheduler, *sampler, *spacing, self.steps, skipped),
            Times::Inversion { scheduler, spacing } => {
                let run = shortened(scheduler, Sampler::Ddim, *spacing, self.steps, skipped)?;
                Ok(inverse(&run))
            }
            Times::Turns { scheduler, range } => Ok(turns(scheduler, *range, self.steps).0),
            Times::Recording(timetable) => Ok(timetable.clone()),
        }
    }

    /// What an objective draws, where one is compiled.
    fn objective(&self) -> Option<Objective> {
        match &self.times {
            Times::Turns { scheduler, range } => Some(turns(scheduler, *range, 0).1),
            _ => None,
        }
    }

    /// What is looked for in the file.
    fn wanted(&self) -> FunctionKind {
        match self.times {
            Times::Turns { .. } => FunctionKind::Objective,
            _ => FunctionKind::Guide,
        }
    }

    fn solver(&self) -> (String, SolverFacts) {
        match &self.times {
            Times::Sampler {
                scheduler, sampler, ..
            } => (sampler.called(scheduler.levels), scheduler.facts(*sampler)),
            Times::Inversion { .. } => (
                INVERSE.to_owned(),
                SolverFacts {
                    renoise: true,
                    shift: false,
                    moves: false,
                    hold: true,
                },
            ),
            Times::Turns { .. } => (
                OPTIMISER.to_owned(),
                SolverFacts {
                    renoise: false,
                    shift: false,
                    moves: false,
                    hold: false,
                },
            ),
            Times::Recording(_) => (
                "recording".to_owned(),
                SolverFacts {
                    renoise: true,
                    shift: true,
                    moves: true,
                    hold: true,
                },
            ),
        }
    }
}

/// A plan, and the warnings that the settings add.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The plan.
    pub plan: Plan,
    /// What the file's own diagnostics and the settings warn of.
    pub warnings: Bag,
}

/// Makes the plan of a guide.
///
/// # Errors
/// Every independent reason why there is none, warnings among them.
pub fn compile(analysis: &Analysis, request: &Request) -> Result<Compiled, Bag> {
    let (graph, target, mut warnings) = prepare(analysis, request)?;
    match schedule::plan(&graph, &target) {
        Ok(plan) => {
            warnings.extend(schedule::warn(&graph, &plan, target.steps));
            Ok(Compiled { plan, warnings })
        }
        Err(refused) => {
            warnings.extend(refused);
            Err(warnings)
        }
    }
}

/// What stands after a pass of the planner, as text; the names are in [`schedule::PASSES`].
///
/// # Errors
/// As [`compile`].
pub fn after(analysis: &Analysis, request: &Request, pass: &str) -> Result<String, Bag> {
    let (graph, target, _) = prepare(analysis, request)?;
    schedule::after(pass, &graph, &target)
}

/// The graph, what it is planned for, and the warnings so far.
fn prepare(analysis: &Analysis, request: &Request) -> Result<(Graph, Target, Bag), Bag> {
    let mut bag = analysis.diagnostics.clone();
    if bag.has_errors() {
        return Err(bag);
    }
    if let Times::Sampler {
        scheduler, sampler, ..
    } = &request.times
    {
        scheduler
            .warnings(*sampler)
            .into_iter()
            .for_each(|warning| bag.push(warning));
    }
    let (found, times) = (graph_of(analysis, request), request.timetable());
    let (item, graph, timetable) = match (found, times) {
        (Ok((item, graph, said)), Ok(timetable)) => {
            bag.extend(said);
            (item, graph, timetable)
        }
        (found, times) => {
            bag.extend(found.map_or_else(|refused| refused, |(_, _, said)| said));
            if let Err(refused) = times {
                bag.push(refused);
            }
            return Err(bag);
        }
    };
    let (sampler, solver) = request.solver();
    let target = Target {
        guide: name_of(&analysis.program, item).to_owned(),
        file: analysis.path.clone(),
        source: hash(analysis),
        facts: request.facts.clone(),
        timetable,
        sampler,
        solver,
        steps: request.taken(),
        negative: request.negative,
        classifiers: request.classifiers.clone(),
        objective: request.objective(),
        backward: request.backward,
    };
    Ok((graph, target, bag))
}

/// The graph of a guide, for what a request says of settings, prompts and steps.
///
/// # Errors
/// What the guide or the settings are wrong in.
pub fn graph(analysis: &Analysis, request: &Request) -> Result<Graph, Bag> {
    if analysis.diagnostics.has_errors() {
        return Err(analysis.diagnostics.clone());
    }
    graph_of(analysis, request).map(|(_, graph, _)| graph)
}

fn graph_of(analysis: &Analysis, request: &Request) -> Result<(ItemId, Graph, Bag), Bag> {
    let item = choose(analysis, request.guide.as_deref(), request.wanted()).map_err(|refused| {
        let mut bag = Bag::default();
        bag.push(refused);
        bag
    })?;
    let inline = Inline {
        settings: request.settings.clone(),
        prompt_counts: request.prompt_counts.clone(),
        tables: request.tables.clone(),
        negative: request.negative,
        steps: Some(request.taken()),
    };
    let (graph, said) = check::inline(&analysis.program, item, &inline);
    if said.has_errors() {
        Err(said)
    } else {
        Ok((item, graph, said))
    }
}

/// The guide or objective of that name in the root file; without a name the only one, or the one named
/// like the file.
///
/// # Errors
/// `G0213`, with those that there are.
pub fn choose(
    analysis: &Analysis,
    name: Option<&str>,
    kind: FunctionKind,
) -> Result<ItemId, Diagnostic> {
    let program = &analysis.program;
    let found = of_kind(analysis, kind);
    let names: Vec<&str> = found.iter().map(|item| name_of(program, *item)).collect();
    let stem = analysis.path.rsplit(['/', '\\']).next().unwrap_or("");
    let stem = stem.strip_suffix(".guide").unwrap_or(stem);
    let wanted = name.unwrap_or(stem);
    let named = found.iter().zip(&names).find(|(_, name)| **name == wanted);
    if let Some((item, _)) = named {
        return Ok(*item);
    }
    if let Some(name) = name {
        return Err(unknown(analysis, name, kind, &names));
    }
    match found.as_slice() {
        [only] => Ok(*only),
        _ => Err(which(analysis, kind, &names)),
    }
}

/// Whether a name, or without one the file, means an objective rather than a guide.
pub fn means_objective(analysis: &Analysis, name: Option<&str>) -> bool {
    choose(analysis, name, FunctionKind::Guide).is_err()
        && choose(analysis, name, FunctionKind::Objective).is_ok()
}

/// The root file's items of a kind.
fn of_kind(analysis: &Analysis, kind: FunctionKind) -> Vec<ItemId> {
    let program = &analysis.program;
    let items = program
        .modules
        .first()
        .map_or(&[][..], |module| module.items.as_slice());
    let is = |item: &ItemId| {
        let kind_of = program.items.get(item.index()).map(|item| &item.kind);
        matches!(kind_of, Some(ItemKind::Function(function)) if function.kind == kind)
    };
    items.iter().copied().filter(is).collect()
}

/// What the other kind of item is called, what runs it, and what there is of it in the file.
fn others(analysis: &Analysis, kind: FunctionKind) -> (&'static str, &'static str, Vec<&str>) {
    let (called, command, other) = match kind {
        FunctionKind::Objective => ("guide", "run", FunctionKind::Guide),
        _ => ("objective", "optimise", FunctionKind::Objective),
    };
    let items = of_kind(analysis, other);
    let names = items.iter().map(|item| name_of(&analysis.program, *item));
    (called, command, names.collect())
}

fn word(kind: FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Objective => "objective",
        _ => "guide",
    }
}

fn unknown(analysis: &Analysis, name: &str, kind: FunctionKind, names: &[&str]) -> Diagnostic {
    let word = word(kind);
    let (called, command, others) = others(analysis, kind);
    let path = &analysis.path;
    if others.contains(&name) {
        let message = format!("`{name}` is no {word}: it is declared as `{called}`");
        return Diagnostic::new(Code::WhichGuide, message)
            .help(format!("write `guidec {command} {path} --guide {name}`"));
    }
    let message = format!("`{path}` has no {word} `{name}`");
    let near = suggest::nearest(name, names.iter().copied());
    let help = near.map(|near| format!("write `--guide {near}`"));
    let help =
        help.or_else(|| (!names.is_empty()).then(|| format!("choose one of {}", listed(names))));
    let unknown = Diagnostic::new(Code::WhichGuide, message);
    match help {
        Some(help) => unknown.help(help),
        None => unknown,
    }
}

fn which(analysis: &Analysis, kind: FunctionKind, names: &[&str]) -> Diagnostic {
    let (path, word) = (&analysis.path, word(kind));
    if let [first, ..] = names {
        let message = format!("`{path}` holds several {word}s: {}", listed(names));
        return Diagnostic::new(Code::WhichGuide, message)
            .help(format!("choose one, as in `--guide {first}`"));
    }
    let (called, command, others) = others(analysis, kind);
    if let [other, ..] = others.as_slice() {
        let message = format!("`{path}` holds no {word}, but the {called} `{other}`");
        return Diagnostic::new(Code::WhichGuide, message)
            .help(format!("write `guidec {command} {path}`"));
    }
    let message = format!("`{path}` holds no {word}");
    let example = match kind {
        FunctionKind::Objective => "objective name() { eps(predict(cond)) - noise }",
        _ => "guide name() { predict(cond) }",
    };
    Diagnostic::new(Code::WhichGuide, message).help(format!("write one: `{example}`"))
}

fn listed(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn name_of(program: &Program, item: ItemId) -> &str {
    program
        .items
        .get(item.index())
        .map_or("", |item| item.name.node.as_str())
}

/// SHA-256, in hex, of the texts of the file and of all modules it uses, in order of use. The length
/// of each goes before it, so that no two lists of texts are one.
fn hash(analysis: &Analysis) -> String {
    let mut hash = Sha256::new();
    for module in &analysis.program.modules {
        let text = analysis.files.text(module.file);
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
