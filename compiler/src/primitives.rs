//! What the language brings: primitives, interventions, words and their parameters.
//!
//! A primitive is what needs its own reduction, kernel or f64 guarantee; everything else is `std`.
//! `resolve` finds names here, `check` gives them their meaning, `guidec doc` prints them.

use crate::plan::layer_kind;

/// A parameter of a primitive: its name, and its default as text (`None` must be given; an empty
/// text means that it may be left out).
pub type Parameter = (&'static str, Option<&'static str>);

macro_rules! primitives {
    ($($variant:ident $name:literal ($($param:literal $(= $default:literal)?),*) $doc:literal;)*) => {
        /// A callable that the language brings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Primitive { $(#[doc = $doc] $variant,)* }

        impl Primitive {
            /// All of them, in order of the table.
            pub const ALL: &[Primitive] = &[$(Primitive::$variant),*];

            /// Its name in the language.
            pub fn name(self) -> &'static str {
                match self { $(Primitive::$variant => $name,)* }
            }

            /// Its parameters in positional order.
            pub fn parameters(self) -> &'static [Parameter] {
                match self { $(Primitive::$variant => &[$(primitives!(@param $param $($default)?)),*],)* }
            }

            /// What it does, in a sentence.
            pub fn doc(self) -> &'static str {
                match self { $(Primitive::$variant => $doc,)* }
            }

            /// The primitive of that name.
            pub fn find(name: &str) -> Option<Primitive> {
                Primitive::ALL.iter().copied().find(|p| p.name() == name)
            }
        }
    };
    (@param $param:literal) => { ($param, None) };
    (@param $param:literal $default:literal) => { ($param, Some($default)) };
}

primitives! {
    Predict "predict" ("condition", "at" = "x", "model" = "main", "with" = "none", "t" = "t", "told" = "t", "control" = "1") "Asks a network for a prediction under a condition, in the main model's own space.";
    Attention "attention" ("prediction", "layers", "of" = "self", "tokens" = "") "The attention that the network computed in the evaluation of a prediction.";
    Regions "regions" ("prediction", "layers" = "all", "spread" = "4") "The token of the text that is strongest at each place in the evaluation of a prediction, by its place: attention to the text, spread by self-attention.";
    Features "features" ("prediction", "layers") "How strong the features are that layers add at each place in the evaluation of a prediction: the root of their mean square.";
    Eps "eps" ("value") "The value in eps, the noise.";
    X0 "x0" ("value") "The value in x0, the clean sample.";
    V "v" ("value") "The value in v, the velocity of Salimans and Ho.";
    Flow "flow" ("value") "The value in flow, the velocity of rectified flow.";
    Score "score" ("value") "The value as a score, the gradient of the log-density.";
    Native "native" ("value") "The value in the main model's own space, on purpose.";
    Prediction "prediction" ("value") "Says that an off-affine value is meant as a prediction.";
    Direction "direction" ("value") "Says that a value is meant as a direction.";
    Raw "raw" ("value") "The value without weight or space.";
    Latent "latent" ("value") "Says that a raw value is meant as a latent.";
    Noised "noised" ("image" = "", "x0" = "", "eps" = "") "A latent at this tick's noise: of an image, or `alpha*x0 + sigma*eps`.";
    Min "min" ("a", "b") "The smaller of two values.";
    Max "max" ("a", "b") "The larger of two values.";
    Abs "abs" ("a") "Absolute value.";
    Exp "exp" ("a") "Exponential.";
    Log "log" ("a") "Natural logarithm.";
    Sqrt "sqrt" ("a") "Square root.";
    Pow "pow" ("a", "b") "The first to the power of the second.";
    Sin "sin" ("a") "Sine.";
    Cos "cos" ("a") "Cosine of an angle.";
    Acos "acos" ("a") "Arc cosine.";
    Sign "sign" ("a") "-1, 0 or 1.";
    Sigmoid "sigmoid" ("a") "`1/(1 + exp(-a))`.";
    Clamp "clamp" ("a", "low", "high") "A scalar within two bounds.";
    Floor "floor" ("a") "The largest whole number not above.";
    Dot "dot" ("a", "b", "over" = "all") "Sum of products, in f64.";
    Norm "norm" ("a", "over" = "all") "L2 norm, in f64.";
    Mean "mean" ("a", "over" = "all") "Mean, in f64.";
    Std "std" ("a", "over" = "all") "Standard deviation, dividing by n-1, in f64.";
    Sum "sum" ("a", "over" = "all") "Sum, in f64.";
    Largest "largest" ("a", "over" = "all") "The largest element.";
    Smallest "smallest" ("a", "over" = "all") "The smallest element.";
    Quantile "quantile" ("a", "level", "over" = "all") "A quantile, with linear interpolation.";
    LogSumExp "logsumexp" ("a", "over" = "all") "`log(sum(exp(a)))`, stable.";
    MeanWithin "mean_within" ("a", "regions") "At each place the mean of a value over the places that have the same number in a map.";
    Unit "unit" ("a", "over" = "all") "The direction of a value: it divided by its norm; 0 for 0.";
    Cosine "cosine" ("a", "b", "over" = "all") "Cosine of the angle between two values; 0 where one is 0.";
    Where "where" ("condition", "then", "otherwise") "One of two values: per sample by a truth value, lazily; elementwise by a map.";
    Clip "clip" ("a", "low", "high") "Every element within two bounds.";
    Softmax "softmax" ("a", "over" = "all") "`exp(a)` divided by its sum.";
    Argmax "argmax" ("probs", "except" = "") "The class of the largest probability.";
    Classify "classify" ("judge", "of") "A classifier's probabilities.";
    Logits "logits" ("judge", "of") "A classifier's logits.";
    LogProb "log_prob" ("judge", "of", "class") "The logarithm of a class's probability.";
    Value "value" ("loss", "of") "A loss of a value.";
    Decode "decode" ("latent") "The picture of a latent, by the model's decoder.";
    Grad "grad" ("of", "wrt") "The gradient of a sample scalar.";
    Random "random" ("low", "high", "salt" = "") "A uniform random number for each sample, keyed by seed and step.";
    Gaussian "gaussian" ("like" = "x", "salt" = "") "Standard normal noise in the shape of a value, one number for a scalar, keyed by seed and step.";
    GaussianBlur "gaussian_blur" ("a", "sigma", "taps" = "9") "Gaussian blur over space, reflect padding.";
    Band "band" ("a", "level", "of") "The full-size share of one level of a binomial pyramid.";
    Resample "resample" ("a", "factor") "Low-pass by bilinear resampling down and up again.";
    FftDisk "fft_disk" ("a", "radius") "Low-pass: Fourier coefficients within a disk.";
    FftBox "fft_box" ("a", "radius") "Low-pass: Fourier coefficients within a box.";
    DctHighpass "dct_highpass" ("a", "cutoff") "High-pass: drops the lowest DCT coefficients.";
    Guided "guided" ("denoise", "renoise" = "", "shift" = "", "move" = "") "An outcome whose halves differ.";
    Denoise "denoise" ("outcome") "What an outcome steps toward.";
    Renoise "renoise" ("outcome") "What an outcome re-noises with.";
    Prompt "prompt" ("text") "A condition by its text.";
    Class "class" ("number") "A condition by its class.";
    Unrelated "unrelated" ("to" = "cond", "salt" = "") "A condition drawn at random in the manner of another, keyed by seed and step.";
    Count "count" ("prompts") "How many prompts are bound.";
    TimeOf "time_of" ("sigma") "The time at which sigma/alpha is this.";
    MeanOverRun "mean_over_run" ("curve") "The mean of a step scalar over the run.";
    MaxOverRun "max_over_run" ("curve") "The largest value of a step scalar over the run.";
    CurveAt "curve_at" ("curve", "fraction") "A step scalar's value at a fraction of the run.";
}

/// An intervention: its name, its parameters and what it does.
pub struct InterventionSignature {
    /// Its name in the language.
    pub name: &'static str,
    /// Its parameters in positional order, with what they take.
    pub parameters: &'static [(Parameter, ArgKind)],
    /// What it does, in a sentence.
    pub doc: &'static str,
    /// Whether this runtime can do it.
    pub supported: bool,
    /// The word among its arguments by which one sample sees another.
    pub couples_by: Option<&'static str>,
    /// Whether gradients go through a network that is changed so.
    pub gradient: bool,
}

/// What an intervention's parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// Layers (const); among them must be some that it works on.
    Layers(Works),
    /// A const or step scalar.
    Number(Bounds),
    /// One of these words; any where there are none.
    Word(&'static [&'static str]),
    /// A condition, the same for all samples.
    Condition,
    /// A network's answer.
    Prediction,
    /// A network's answer, or this word.
    PredictionOr(&'static str),
    /// Words of the prediction's own text, or places of its tokens.
    Tokens,
    /// A number for each place of each sample.
    Map,
    /// A condition, tensor or prediction.
    Any,
}

/// What an intervention works on, of the layers that it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Works {
    /// All.
    All,
    /// Self-attentions.
    SelfAttention,
    /// Cross-attentions.
    CrossAttention,
}

impl Works {
    /// Whether a layer of this name (`down.0.attn.0.self`) is such a one.
    pub fn holds(self, name: &str) -> bool {
        match self {
            Works::All => true,
            Works::SelfAttention => layer_kind(name) == "self",
            Works::CrossAttention => layer_kind(name) == "cross",
        }
    }

    /// One of them.
    pub fn noun(self) -> &'static str {
        match self {
            Works::All => "layer",
            Works::SelfAttention => "self-attention",
            Works::CrossAttention => "cross-attention",
        }
    }
}

/// Where a number of an intervention may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// Any finite number.
    Finite,
    /// A finite number, 0 or more.
    NotNegative,
    /// Above 0, or infinite.
    Positive,
    /// 0 to 1.
    Share,
    /// Above 1, at most 2.
    Sparse,
}

impl InterventionSignature {
    /// The intervention of that name.
    pub fn find(name: &str) -> Option<&'static InterventionSignature> {
        INTERVENTIONS.iter().find(|known| known.name == name)
    }

    /// What its parameter of that name takes.
    pub fn takes(&self, parameter: &str) -> Option<ArgKind> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|((name, _), _)| *name == parameter);
        found.map(|(_, kind)| *kind)
    }
}

/// All interventions.
pub const INTERVENTIONS: &[InterventionSignature] = &[
    InterventionSignature {
        name: "identity_attention",
        parameters: &[(("layers", None), ArgKind::Layers(Works::SelfAttention))],
        doc: "Self-attention that returns its values: `to_out(to_v(h))` (PAG, arXiv 2403.17377).",
        supported: true,
        couples_by: None,
        gradient: true,
    },
    InterventionSignature {
        name: "blur_attention",
        parameters: &[
            (("layers", None), ArgKind::Layers(Works::SelfAttention)),
            (("sigma", None), ArgKind::Number(Bounds::Positive)),
        ],
        doc: "Self-attention whose queries are blurred over space; `inf` is their mean (SEG, arXiv 2408.00760).",
        supported: true,
        couples_by: None,
        gradient: false,
    },
    InterventionSignature {
        name: "skip_layers",
        parameters: &[(("layers", None), ArgKind::Layers(Works::All))],
        doc: "Leaves out the named layers: their input is their output.",
        supported: true,
        couples_by: None,
        gradient: true,
    },
    InterventionSignature {
        name: "shuffle_tokens",
        parameters: &[
            (("layers", None), ArgKind::Layers(Works::SelfAttention)),
            (("salt", Some("")), ArgKind::Word(&[])),
        ],
        doc: "Shuffles the tokens that enter each transformer block whose self-attention is named, anew for each block, sample and step (TPG, arXiv 2506.10036).",
        supported: true,
        couples_by: None,
        gradient: false,
    },
    InterventionSignature {
        name: "scale_skips",
        parameters: &[
            (("b1", Some("1")), ArgKind::Number(Bounds::Finite)),
            (("b2", Some("1")), ArgKind::Number(Bounds::Finite)),
            (("s1", Some("1")), ArgKind::Number(Bounds::Finite)),
            (("s2", Some("1")), ArgKind::Number(Bounds::Finite)),
            (
                ("backbone", Some("constant")),
                ArgKind::Word(&["constant", "mean"]),
            ),
            (("by", Some("level")), ArgKind::Word(&["level", "width"])),
        ],
        doc: "On the way up, scales half of the channels by `b1` and `b2`, and the lowest frequencies of what the way down has kept by `s1` and `s2`, on the coarsest and the next level (FreeU, arXiv 2309.11497).",
        supported: true,
        couples_by: None,
        gradient: false,
    },
    InterventionSignature {
        name: "negative_attention",
        parameters: &[
            (("minus", None), ArgKind::Condition),
            (("scale", Some("5")), ArgKind::Number(Bounds::Finite)),
            (("tau", Some("2.5")), ArgKind::Number(Bounds::NotNegative)),
            (("mix", Some("0.25")), ArgKind::Number(Bounds::Share)),
            (("norm", Some("l1")), ArgKind::Word(&["l1", "l2"])),
            (
                ("layers", Some("cross")),
                ArgKind::Layers(Works::CrossAttention),
            ),
        ],
        doc: "Extrapolates inside each cross-attention from what it gives for another condition, limits the norm of each token to `tau` times its own, and mixes that in (NAG, arXiv 2505.21179).",
        supported: true,
        couples_by: None,
        gradient: false,
    },
    InterventionSignature {
        name: "steer_away",
        parameters: &[
            (("from", None), ArgKind::Condition),
            (("scale", Some("0.2")), ArgKind::Number(Bounds::Finite)),
            (
                ("layers", Some("cross")),
                ArgKind::Layers(Works::CrossAttention),
            ),
        ],
        doc: "Subtracts from what each cross-attention gives a part of what it gives for another condition (NASA, arXiv 2412.02687).",
        supported: true,
        couples_by: None,
        gradient: false,
    },
    InterventionSignature {
        name: "push_apart",
        parameters: &[
            (("from", None), ArgKind::PredictionOr("batch")),
            (("strength", Some("0.9")), ArgKind::Number(Bounds::Finite)),
            (("threshold", Some("0.65")), ArgKind::Number(Bounds::Finite)),
            (
                ("layers", Some("self")),
                ArgKind::Layers(Works::SelfAttention),
            ),
        ],
        doc: "Moves what each self-attention gives for a token away from its best match in another prediction's evaluation or in the batch's first sample, where their cosine exceeds `threshold` (NegToMe, arXiv 2412.01339).",
        supported: true,
        couples_by: Some("batch"),
        gradient: false,
    },
    InterventionSignature {
        name: "inject",
        parameters: &[
            (("site", None), ArgKind::Layers(Works::All)),
            (("from", None), ArgKind::Prediction),
            (
                ("what", Some("attention")),
                ArgKind::Word(&["attention", "features"]),
            ),
        ],
        doc: "Gives layers what they had in another prediction's evaluation: self-attentions their queries and keys, or residual blocks what they add (arXiv 2211.12572).",
        supported: true,
        couples_by: None,
        gradient: false,
    },
    InterventionSignature {
        name: "bias_attention",
        parameters: &[
            (("tokens", None), ArgKind::Tokens),
            (("region", None), ArgKind::Map),
            (("strength", Some("1")), ArgKind::Number(Bounds::Finite)),
            (
                ("layers", Some("cross")),
                ArgKind::Layers(Works::CrossAttention),
            ),
        ],
        doc: "Adds to the scores that some tokens of the text have at the places of a region (paint with words, arXiv 2211.01324).",
        supported: true,
        couples_by: None,
        gradient: false,
    },
    InterventionSignature {
        name: "mask_attention",
        parameters: &[
            (("tokens", None), ArgKind::Tokens),
            (("region", None), ArgKind::Map),
            (
                ("layers", Some("cross")),
                ArgKind::Layers(Works::CrossAttention),
            ),
        ],
        doc: "Lets some tokens of the text be seen only from a region: elsewhere their attention goes to the others.",
        supported: true,
        couples_by: None,
        gradient: false,
    },
    InterventionSignature {
        name: "sparse_attention",
        parameters: &[
            (
                ("layers", Some("cross")),
                ArgKind::Layers(Works::CrossAttention),
            ),
            (("scale", Some("2")), ArgKind::Number(Bounds::Finite)),
            (("alpha", Some("1.5")), ArgKind::Number(Bounds::Sparse)),
        ],
        doc: "Extrapolates from what each cross-attention gives to what it gives where only the largest scores count (alpha-entmax; PLADIS, arXiv 2503.07677).",
        supported: true,
        couples_by: None,
        gradient: false,
    },
    InterventionSignature {
        name: "steer",
        parameters: &[
            (("layers", None), ArgKind::Layers(Works::All)),
            (("vector", None), ArgKind::Any),
        ],
        doc: "Adds a vector to the features of the named layers.",
        supported: false,
        couples_by: None,
        gradient: false,
    },
];

/// What others call an intervention, and its name here.
pub const ALSO_CALLED: &[(&str, &str)] = &[
    ("scale_features", "scale_skips"),
    ("freeu", "scale_skips"),
    ("nag", "negative_attention"),
    ("nasa", "steer_away"),
    ("negtome", "push_apart"),
    ("pag", "identity_attention"),
    ("seg", "blur_attention"),
    ("slg", "skip_layers"),
    ("tpg", "shuffle_tokens"),
    ("pladis", "sparse_attention"),
    ("regional_prompt", "mask_attention"),
    ("paint_with_words", "bias_attention"),
];

/// Names of the step, built-in values.
pub const VALUES: &[&str] = &[
    "step",
    "steps",
    "substep",
    "progress",
    "fraction",
    "t",
    "t1000",
    "alpha",
    "sigma",
    "sigma_ratio",
    "snr",
    "log_snr",
    "posterior_variance",
    "alpha_next",
    "sigma_next",
    "t_next",
    "x",
    "target",
    "pi",
    "inf",
    "noise",
    "hold",
];

/// Conditions: not free as names.
pub const CONDITIONS: &[&str] = &["cond", "uncond", "negative", "null"];

/// Words that mean something where layers, axes, models or interventions are expected.
pub const CONTEXT_WORDS: &[&str] = &[
    "all", "channels", "space", "mid", "down", "up", "self", "cross", "main", "none", "image",
    "batch",
];

/// The names of spaces.
pub const SPACES: &[&str] = &["eps", "x0", "v", "flow", "score", "native", "latent"];
