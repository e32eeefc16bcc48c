//! The nodes of ComfyUI between a model and a sampler, by class.

/// A node that is a rule, and its inputs that are numbers with our names for them.
pub struct RuleNode {
    /// Its class in ComfyUI.
    pub class: &'static str,
    /// The rule.
    pub path: &'static str,
    /// Inputs that are numbers, and the rule's parameters.
    pub numbers: &'static [(&'static str, &'static str)],
}

/// Nodes that replace plain guidance.
pub const RULES: &[RuleNode] = &[
    RuleNode {
        class: "RescaleCFG",
        path: "std::dialects::comfyui::rescale_cfg",
        numbers: &[("multiplier", "phi")],
    },
    RuleNode {
        class: "APG",
        path: "std::dialects::comfyui::apg",
        numbers: &[
            ("eta", "eta"),
            ("norm_threshold", "radius"),
            ("momentum", "beta"),
        ],
    },
    RuleNode {
        class: "PerpNeg",
        path: "std::dialects::comfyui::perp_neg",
        numbers: &[("neg_scale", "neg_scale")],
    },
    RuleNode {
        class: "CFGZeroStar",
        path: "std::dialects::comfyui::cfg_zero_star",
        numbers: &[],
    },
    RuleNode {
        class: "CFGNorm",
        path: "std::dialects::comfyui::cfg_norm",
        numbers: &[("strength", "strength")],
    },
    RuleNode {
        class: "TCFG",
        path: "std::dialects::comfyui::tangential",
        numbers: &[],
    },
    RuleNode {
        class: "Mahiro",
        path: "std::dialects::comfyui::mahiro",
        numbers: &[],
    },
    RuleNode {
        class: "DynamicThresholdingFull",
        path: "std::dialects::comfyui::dynamic_thresholding",
        numbers: &[
            ("mimic_scale", "mimic_scale"),
            ("threshold_percentile", "percentile"),
            ("interpolate_phi", "phi"),
        ],
    },
    RuleNode {
        class: "DynamicThresholdingSimple",
        path: "std::dialects::comfyui::dynamic_thresholding",
        numbers: &[
            ("mimic_scale", "mimic_scale"),
            ("threshold_percentile", "percentile"),
        ],
    },
    RuleNode {
        class: "SkipLayerGuidanceDiTSimple",
        path: "std::dialects::comfyui::slg_simple",
        numbers: &[("start_percent", "start"), ("end_percent", "stop")],
    },
];

/// Nodes with a direction that is added.
pub const ADDITIONS: &[&str] = &[
    "PerturbedAttentionGuidance",
    "SelfAttentionGuidance",
    "SkipLayerGuidanceDiT",
    "SkipLayerGuidanceSD3",
];

/// Nodes that scale features inside the network, with our word for how.
pub const AROUND: &[(&str, &str)] = &[("FreeU", "\"constant\""), ("FreeU_V2", "\"mean\"")];

/// Nodes that are left out, and why.
pub const LEFT_OUT: &[(&str, &str)] = &[
    (
        "NAGuidance",
        "it leads self-attentions away from those of the negative prompt's own evaluation, which this \
         version cannot; `std::dialects::comfyui::negative_attention` works on cross-attentions",
    ),
    (
        "FreSca",
        "it has no equal here; `std::rules::frequency_band` is the nearest",
    ),
    (
        "VideoLinearCFGGuidance",
        "it gives each frame of a film a scale",
    ),
    (
        "VideoTriangleCFGGuidance",
        "it gives each frame of a film a scale",
    ),
    ("EpsilonScaling", "it has no equal here"),
    ("TemporalScoreRescaling", "it has no equal here"),
    ("RenormCFG", "it has no equal here"),
    ("LoraLoader", "weights are the model's"),
    ("LoraLoaderModelOnly", "weights are the model's"),
    ("ModelSamplingDiscrete", "the noise schedule is the model's"),
    ("DifferentialDiffusion", "there is no inpainting here"),
    ("PatchModelAddDownscale", "it changes the network"),
    ("HyperTile", "it changes the network"),
    ("ToMePatchModel", "it changes the network"),
];

/// Nodes that load a model or hand it on.
pub const MODELS: &[&str] = &[
    "CheckpointLoaderSimple",
    "CheckpointLoader",
    "ImageOnlyCheckpointLoader",
    "UNETLoader",
    "DiffusersLoader",
    "unCLIPCheckpointLoader",
    "Reroute",
    "TorchCompileModel",
];
