//! What the language brings: primitives, interventions, words and their parameters.
//!
//! A primitive is what needs its own reduction, kernel or f64 guarantee; everything else is `std`.
//! `resolve` finds names here, `check` gives them their meaning, `guidec doc` prints them.

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
    Features "features" ("prediction", "layers") "The features that the network computed in the evaluation of a prediction.";
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
    /// Whether one sample sees another.
    pub coupled: bool,
}

/// What an intervention's parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// Layers (const).
    Layers,
    /// A const or step scalar.
    Number,
    /// A word or text.
    Word,
    /// A condition, tensor or prediction.
    Any,
}

/// All interventions.
pub const INTERVENTIONS: &[InterventionSignature] = &[
    InterventionSignature {
        name: "identity_attention",
        parameters: &[(("layers", None), ArgKind::Layers)],
        doc: "Self-attention that returns its values: `to_out(to_v(h))` (PAG, arXiv 2403.17377).",
        supported: true,
        coupled: false,
    },
    InterventionSignature {
        name: "blur_attention",
        parameters: &[
            (("layers", None), ArgKind::Layers),
            (("sigma", None), ArgKind::Number),
        ],
        doc: "Self-attention whose queries are blurred over space; `inf` is their mean (SEG, arXiv 2408.00760).",
        supported: true,
        coupled: false,
    },
    InterventionSignature {
        name: "skip_layers",
        parameters: &[(("layers", None), ArgKind::Layers)],
        doc: "Leaves out the named layers: their input is their output.",
        supported: true,
        coupled: false,
    },
    InterventionSignature {
        name: "shuffle_tokens",
        parameters: &[(("layers", None), ArgKind::Layers)],
        doc: "Shuffles the tokens that enter the named layers.",
        supported: false,
        coupled: false,
    },
    InterventionSignature {
        name: "scale_skips",
        parameters: &[
            (("b1", Some("1")), ArgKind::Number),
            (("b2", Some("1")), ArgKind::Number),
            (("s1", Some("1")), ArgKind::Number),
            (("s2", Some("1")), ArgKind::Number),
        ],
        doc: "Scales the features that enter the decoder's blocks (FreeU, arXiv 2309.11497).",
        supported: false,
        coupled: false,
    },
    InterventionSignature {
        name: "negative_attention",
        parameters: &[
            (("minus", None), ArgKind::Any),
            (("scale", Some("5")), ArgKind::Number),
            (("tau", Some("2.5")), ArgKind::Number),
            (("mix", Some("0.25")), ArgKind::Number),
        ],
        doc: "Extrapolates inside each cross-attention from the negative's output (NAG, arXiv 2505.21179).",
        supported: false,
        coupled: false,
    },
    InterventionSignature {
        name: "steer_away",
        parameters: &[
            (("from", None), ArgKind::Any),
            (("scale", Some("0.2")), ArgKind::Number),
        ],
        doc: "Subtracts the negative's cross-attention (NASA, arXiv 2412.02687).",
        supported: false,
        coupled: false,
    },
    InterventionSignature {
        name: "push_apart",
        parameters: &[
            (("from", None), ArgKind::Any),
            (("strength", Some("0.9")), ArgKind::Number),
            (("threshold", Some("0.65")), ArgKind::Number),
            (("layers", Some("self")), ArgKind::Layers),
        ],
        doc: "Moves tokens away from their best match in a reference (NegToMe, arXiv 2412.01339).",
        supported: false,
        coupled: true,
    },
    InterventionSignature {
        name: "inject",
        parameters: &[
            (("site", None), ArgKind::Word),
            (("from", None), ArgKind::Any),
        ],
        doc: "Takes features or attention from another prediction's evaluation (arXiv 2211.12572).",
        supported: false,
        coupled: false,
    },
    InterventionSignature {
        name: "bias_attention",
        parameters: &[
            (("tokens", None), ArgKind::Any),
            (("region", None), ArgKind::Any),
            (("strength", Some("1")), ArgKind::Number),
        ],
        doc: "Adds to the cross-attention of some tokens inside a region.",
        supported: false,
        coupled: false,
    },
    InterventionSignature {
        name: "sparse_attention",
        parameters: &[(("layers", None), ArgKind::Layers)],
        doc: "Keeps only the largest attention weights.",
        supported: false,
        coupled: false,
    },
    InterventionSignature {
        name: "steer",
        parameters: &[
            (("layers", None), ArgKind::Layers),
            (("vector", None), ArgKind::Any),
        ],
        doc: "Adds a vector to the features of the named layers.",
        supported: false,
        coupled: false,
    },
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
