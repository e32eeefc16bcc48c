//! Every command and option, with the help that users read.

#[cfg(feature = "run")]
pub mod compare;
mod drawn;
mod examples;
#[cfg(feature = "run")]
mod fit;
mod init;
#[cfg(feature = "run")]
mod invert;
mod man;
#[cfg(feature = "run")]
mod optimise;
#[cfg(feature = "run")]
mod parts;
#[cfg(feature = "run")]
mod run;
#[cfg(feature = "run")]
mod sdxl;
#[cfg(feature = "run")]
mod shard;
#[cfg(feature = "run")]
mod shared;
mod test;
mod trace;

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use guide_compiler::schedule::PASSES;

#[cfg(feature = "run")]
pub use compare::{Compare, Merge, Sweep, Together};
pub use drawn::Drawn;
#[cfg(feature = "run")]
pub use fit::Fit;
pub use init::Init;
#[cfg(feature = "run")]
pub use invert::Invert;
pub use man::{Man, ManFormat};
#[cfg(feature = "run")]
pub use optimise::{Optimise, What};
#[cfg(feature = "run")]
pub use parts::Parts;
#[cfg(feature = "run")]
pub use run::{Run, VaeTiling};
#[cfg(feature = "run")]
pub use sdxl::Sdxl;
#[cfg(feature = "run")]
pub use shard::Shard;
#[cfg(feature = "run")]
pub use shared::{AtOnce, Machine, Prompt, Reply};
pub use test::{Test, TestFormat, TestLine};
pub use trace::Trace;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

const OVERVIEW: &str = "\
Examples:
  guidec run examples/first.guide --prompt \"strawberry\"
  guidec run std::rules::apg --set scale=4 --prompt \"red apple\" --seed 3
  guidec check my_rule.guide
  guidec plan std::rules::adaptive --steps 30
  guidec test my_rules
  guidec doc apg

Exit codes: 0 done, 1 the guide or the request is wrong or a difference was found,
2 bad usage, 3 the machine failed (a file, memory, the disk), 130 interrupted.";

/// Compiles and runs rules for diffusion guidance, written in the guide language.
///
/// A rule is a `.guide` file: it asks a network for predictions, combines them, and returns one
/// guided prediction for each step. guidec checks it, shows what each step costs, and samples
/// pictures with it.
#[derive(Debug, Parser)]
#[command(name = "guidec", version, styles = STYLES, after_help = OVERVIEW, max_term_width = 90)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compile a guide and sample pictures with it
    #[cfg(feature = "run")]
    #[command(after_help = run::EXAMPLES)]
    Run(Box<Run>),
    /// Make the same pictures by several rules, and a report of what differs
    #[cfg(feature = "run")]
    #[command(after_help = compare::COMPARE_EXAMPLES)]
    Compare(Box<Compare>),
    /// Make the same pictures with several values of a rule's parameters, and a report
    #[cfg(feature = "run")]
    #[command(after_help = compare::SWEEP_EXAMPLES)]
    Sweep(Box<Sweep>),
    /// Join what shards of a comparison have written
    #[cfg(feature = "run")]
    #[command(after_help = compare::MERGE_EXAMPLES)]
    Merge(Merge),
    /// Draw what a run has written with --trace
    #[command(after_help = trace::EXAMPLES)]
    Trace(Trace),
    /// Parse and type-check guides, and say everything that is wrong with them
    #[command(after_help = examples::CHECK)]
    Check(Check),
    /// Show what each sampling step does and costs
    #[command(after_help = examples::PLAN)]
    Plan(Box<Plan>),
    /// Run a rule over recorded predictions, without a network
    #[cfg(feature = "run")]
    #[command(after_help = examples::EVAL)]
    Eval(Eval),
    /// Find the coefficients of linear_adaptive from recorded runs of a model
    #[cfg(feature = "run")]
    #[command(after_help = fit::EXAMPLES)]
    Fit(Box<Fit>),
    /// Find the noise from which a run makes a picture
    #[cfg(feature = "run")]
    #[command(after_help = invert::EXAMPLES)]
    Invert(Box<Invert>),
    /// Go down the gradient of an objective until it is a picture
    #[cfg(feature = "run")]
    #[command(after_help = optimise::EXAMPLES)]
    Optimise(Box<Optimise>),
    /// Format guides in place
    #[command(after_help = examples::FMT)]
    Fmt(Fmt),
    /// Compare the plans of guides with the snapshots beside them
    #[command(after_help = test::EXAMPLES)]
    Test(Test),
    /// Begin a folder of guides, with a first rule and what tests it
    #[command(after_help = init::EXAMPLES)]
    Init(Init),
    /// Make a guide from diffusers' saved guider or a ComfyUI workflow
    #[command(after_help = examples::IMPORT)]
    Import(Import),
    /// Serve editors: diagnostics, completion, hover and the rest
    #[command(after_help = examples::LSP)]
    Lsp(Lsp),
    /// Explain a diagnostic, with a wrong and a right program
    #[command(after_help = examples::EXPLAIN)]
    Explain {
        /// The code of a diagnostic, such as G0401, or the name of a topic; without it, all are
        /// listed
        code: Option<String>,
    },
    /// Describe a rule, an operator, an intervention or a primitive
    #[command(after_help = examples::DOC)]
    Doc {
        /// Its name, such as `apg`, `std::ops::momentum`, `identity_attention` or `dot`; without
        /// it, everything is listed
        name: Option<String>,
        /// Write the whole library as Markdown into this folder, with the pictures in its `pictures`
        #[arg(long, value_name = "DIR", conflicts_with = "name")]
        out: Option<PathBuf>,
    },
    /// List the models that can be used, where they lie, and what they can do
    #[cfg(feature = "run")]
    #[command(after_help = examples::MODELS)]
    Models {
        /// One model alone: a name or a folder
        #[arg(value_name = "MODEL")]
        name: Option<String>,
        /// List the layers of its network, by the names that selectors take
        #[arg(long, requires = "name")]
        layers: bool,
        /// How the list is written
        #[arg(long, value_name = "FORMAT", default_value = "human")]
        format: Format,
    },
    /// Print a script that completes guidec's commands and options in a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual's pages, or write them for man
    #[command(after_help = man::EXAMPLES)]
    Man(Man),
    /// Print an inner form of a guide
    #[command(hide = true)]
    Debug {
        /// Which form
        form: Form,
        /// Which file
        #[command(flatten)]
        source: Source,
    },
}

/// Which guide.
#[derive(Clone, Debug, Args)]
pub struct Source {
    /// A `.guide` file, or a rule of the standard library as std::rules::NAME
    #[arg(value_name = "FILE")]
    pub file: String,
    /// The guide to use, where the file holds several and none is named like the file
    #[arg(long, value_name = "NAME")]
    pub guide: Option<String>,
    /// A further folder whose files the guide may use; may be repeated
    #[arg(long, value_name = "DIR")]
    pub allow_path: Vec<PathBuf>,
}

/// What a guide is compiled for.
#[derive(Clone, Debug, Default, Args)]
pub struct Target {
    /// Sets a parameter of the guide: a constant expression, or a word of a choice; may be
    /// repeated for other parameters
    #[arg(long = "set", value_name = "NAME=EXPR", value_parser = pair, help_heading = GUIDE)]
    pub set: Vec<(String, String)>,
    /// Binds what the guide declares: a model or a classifier (folder, or a name of the hub), a mask or
    /// image (picture or .safetensors), a prompt (text; repeat it for a list), a table (.csv or .safetensors), a loss
    /// (color:#ff8000, mask:FILE, clip_text:TEXT or style:FILE); NAME.classes=TEXT, repeated, names a
    /// CLIP classifier's classes, NAME.network=DIR the network of a loss
    #[arg(long = "bind", value_name = "NAME=VALUE", value_parser = pair, help_heading = GUIDE)]
    pub bind: Vec<(String, String)>,
    /// The model: a name, a folder in diffusers layout, or a .safetensors file [default: the
    /// embedded one]
    #[arg(long, value_name = "NAME|DIR|FILE", help_heading = SAMPLING)]
    pub model: Option<String>,
    /// What is changed of it.
    #[cfg(feature = "run")]
    #[command(flatten)]
    pub parts: Parts,
    /// Number of sampling steps [default: 20]; of an objective, of turns [default: 300]
    #[arg(long, value_name = "N", help_heading = SAMPLING)]
    pub steps: Option<u64>,
    /// The sampler: ddim, ddpm, pndm, euler, euler_a, heun, lms, dpmpp_2m, dpmpp_2m_sde, dpmpp_2s,
    /// dpmpp_sde, unipc or lcm; from euler to unipc also with `_karras`, `_exponential` or `_beta`
    /// [default: the one of the model's scheduler, else ddim]
    #[arg(long, value_name = "NAME", help_heading = SAMPLING)]
    pub sampler: Option<String>,
    /// With ddim: the share of fresh noise in each step, from 0 to 1 [default: 0]
    #[arg(long, value_name = "N", value_parser = share, help_heading = SAMPLING)]
    pub eta: Option<f64>,
    /// With a start from a picture: how much of the way from noise is taken, 0 to 1, and so how many
    /// of the steps [default for --init-image: 0.8]
    #[arg(long, value_name = "N", value_parser = share, help_heading = SAMPLING)]
    pub strength: Option<f64>,
    /// How the steps are spread over the noise: leading, trailing or linspace [default: what
    /// the model's scheduler says]
    #[arg(long, value_name = "NAME", help_heading = SAMPLING)]
    pub spacing: Option<String>,
    /// What is avoided, or what uncond stands for; empty is the null condition
    #[arg(long, value_name = "TEXT", help_heading = SAMPLING)]
    pub negative: Option<String>,
    /// Never download anything
    #[arg(long, help_heading = SAMPLING)]
    pub offline: bool,
}

const GUIDE: &str = "Guide";
const SAMPLING: &str = "Sampling";
const OPTIMISING: &str = "Optimising";
#[cfg(feature = "run")]
const OUTPUT: &str = "Output";

/// `guidec check`
#[derive(Debug, Args)]
pub struct Check {
    /// The files, `-` for the standard input, or std::rules::NAME
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<String>,
    /// A further folder whose files the guides may use; may be repeated
    #[arg(long, value_name = "DIR")]
    pub allow_path: Vec<PathBuf>,
    /// How diagnostics are written: human on stderr, json on stdout
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

/// `guidec plan`
#[derive(Debug, Args)]
pub struct Plan {
    /// Which guide.
    #[command(flatten)]
    pub source: Source,
    /// For what.
    #[command(flatten)]
    pub target: Target,
    /// What an objective draws.
    #[command(flatten)]
    pub drawn: Drawn,
    /// How the plan is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: PlanFormat,
    /// Print what stands after a pass of the planner instead
    #[arg(long, value_name = "PASS", value_parser = passes())]
    pub after: Option<String>,
}

/// `guidec fmt`
#[derive(Debug, Args)]
pub struct Fmt {
    /// The files, or `-` to format the standard input to the standard output
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<String>,
    /// Write nothing; list the files that are not formatted, and end with 1 if there are any
    #[arg(long)]
    pub check: bool,
}

/// `guidec lsp`
#[derive(Debug, Args)]
pub struct Lsp {
    /// A further folder whose files the guides may use; may be repeated
    #[arg(long, value_name = "DIR")]
    pub allow_path: Vec<PathBuf>,
    /// Speak on stdin and stdout, which is what happens anyway: many editors say so
    #[arg(long)]
    pub stdio: bool,
}

/// `guidec import`
#[derive(Debug, Args)]
pub struct Import {
    /// The configuration or workflow, or `-` for the standard input
    #[arg(value_name = "FILE")]
    pub file: String,
    /// Write the guide to a file instead of the standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The number of the sampler node, where a workflow has several
    #[arg(long, value_name = "ID")]
    pub node: Option<String>,
}

/// `guidec eval`
#[cfg(feature = "run")]
#[derive(Debug, Args)]
pub struct Eval {
    /// Which guide.
    #[command(flatten)]
    pub source: Source,
    /// Sets a parameter of the guide: a constant expression, or a word of a choice
    #[arg(long = "set", value_name = "NAME=EXPR", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// Binds an input of the guide; what only labels a prediction needs no binding
    #[arg(long = "bind", value_name = "NAME=VALUE", value_parser = pair)]
    pub bind: Vec<(String, String)>,
    /// The recording: a safetensors file in the format guide-recording/1
    #[arg(long, value_name = "FILE")]
    pub recording: PathBuf,
    /// Where the results go, as safetensors
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Human,
    /// For programs
    Json,
}

/// How a plan is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people
    Text,
    /// guide-plan/1, which `guidec run` reads
    Json,
    /// A drawing for Graphviz
    Dot,
    /// A drawing
    Svg,
}

/// Inner forms of a guide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// The syntax tree
    Ast,
    /// The tree with its names bound
    Resolved,
    /// The checked graph
    Graph,
}

/// The numbers a network computes with.
#[cfg(feature = "run")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dtype {
    /// 32 bits
    F32,
    /// 16 bits
    F16,
    /// 16 bits with the range of 32
    Bf16,
}

/// The passes by name, each with what it does.
fn passes() -> PossibleValuesParser {
    let passes = PASSES
        .iter()
        .map(|(name, about)| PossibleValue::new(*name).help(*about));
    PossibleValuesParser::new(passes)
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("write a number from 0 to 1".to_owned()),
    }
}

#[cfg(feature = "run")]
fn size(text: &str) -> Result<(u32, u32), String> {
    let (width, height) = text.split_once(['x', 'X']).ok_or("write WIDTHxHEIGHT")?;
    match (width.parse(), height.parse()) {
        (Ok(width), Ok(height)) if width > 0 && height > 0 => Ok((width, height)),
        _ => Err("write WIDTHxHEIGHT, both whole and above 0".to_owned()),
    }
}

/// The first name that a list of settings gives twice.
pub fn given_twice(set: &[(String, String)]) -> Option<&str> {
    let names = set.iter().map(|(name, _)| name.as_str());
    names
        .enumerate()
        .find(|(at, name)| set[..*at].iter().any(|(n, _)| n == name))
        .map(|(_, n)| n)
}
