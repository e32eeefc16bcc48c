//! The guiders of diffusers by class, and where their settings stand.

/// A guider: its class, the rule, and the fields that are numbers, with our names for them.
pub struct Guider {
    /// Its class in diffusers.
    pub class: &'static str,
    /// The rule.
    pub path: &'static str,
    /// Fields that are numbers, and the rule's parameters.
    pub numbers: &'static [(&'static str, &'static str)],
}

/// All guiders that are known.
pub const GUIDERS: &[Guider] = &[
    Guider {
        class: "ClassifierFreeGuidance",
        path: "std::dialects::diffusers::cfg",
        numbers: &[],
    },
    Guider {
        class: "AdaptiveProjectedGuidance",
        path: "std::dialects::diffusers::apg",
        numbers: &[
            ("adaptive_projected_guidance_momentum", "beta"),
            ("adaptive_projected_guidance_rescale", "radius"),
            ("eta", "eta"),
        ],
    },
    Guider {
        class: "AdaptiveProjectedMixGuidance",
        path: "std::dialects::diffusers::apg_mix",
        numbers: &[
            ("adaptive_projected_guidance_scale", "apg_scale"),
            ("adaptive_projected_guidance_momentum", "beta"),
            ("adaptive_projected_guidance_rescale", "radius"),
            ("adaptive_projected_guidance_start_step", "after"),
            ("eta", "eta"),
        ],
    },
    Guider {
        class: "SkipLayerGuidance",
        path: "std::dialects::diffusers::slg",
        numbers: &[
            ("skip_layer_guidance_scale", "slg_scale"),
            ("skip_layer_guidance_start", "slg_start"),
            ("skip_layer_guidance_stop", "slg_stop"),
        ],
    },
    Guider {
        class: "PerturbedAttentionGuidance",
        path: "std::dialects::diffusers::pag",
        numbers: &[
            ("perturbed_guidance_scale", "pag_scale"),
            ("perturbed_guidance_start", "pag_start"),
            ("perturbed_guidance_stop", "pag_stop"),
        ],
    },
    Guider {
        class: "SmoothedEnergyGuidance",
        path: "std::dialects::diffusers::seg",
        numbers: &[
            ("seg_guidance_scale", "seg_scale"),
            ("seg_guidance_start", "seg_start"),
            ("seg_guidance_stop", "seg_stop"),
        ],
    },
    Guider {
        class: "ClassifierFreeZeroStarGuidance",
        path: "std::dialects::diffusers::cfg_zero_star",
        numbers: &[("zero_init_steps", "zero_steps")],
    },
    Guider {
        class: "TangentialClassifierFreeGuidance",
        path: "std::dialects::diffusers::tangential",
        numbers: &[],
    },
    Guider {
        class: "MagnitudeAwareGuidance",
        path: "std::dialects::diffusers::magnitude_aware",
        numbers: &[("alpha", "alpha")],
    },
    Guider {
        class: "NormalizedAttentionCFGGuidance",
        path: "std::dialects::diffusers::negative_attention",
        numbers: &[
            ("nag_scale", "nag_scale"),
            ("nag_tau", "tau"),
            ("nag_alpha", "mix"),
            ("nag_sigma_end", "until"),
        ],
    },
    Guider {
        class: "FrequencyDecoupledGuidance",
        path: "std::dialects::diffusers::frequency_decoupled",
        numbers: &[],
    },
    Guider {
        class: "AutoGuidance",
        path: "std::dialects::diffusers::autoguidance",
        numbers: &[],
    },
];

/// Fields that most guiders have.
pub const NUMBERS: &[(&str, &str)] = &[
    ("guidance_scale", "scale"),
    ("guidance_rescale", "phi"),
    ("start", "start"),
    ("stop", "stop"),
];

/// Where a guider's layers stand: as numbers, and as configurations of hooks.
pub const LAYERS: &[(&str, &str, &str)] = &[
    (
        "SkipLayerGuidance",
        "skip_layer_guidance_layers",
        "skip_layer_config",
    ),
    (
        "PerturbedAttentionGuidance",
        "perturbed_guidance_layers",
        "skip_layer_config",
    ),
    (
        "SmoothedEnergyGuidance",
        "seg_guidance_layers",
        "seg_guidance_config",
    ),
    (
        "AutoGuidance",
        "auto_guidance_layers",
        "auto_guidance_config",
    ),
];
