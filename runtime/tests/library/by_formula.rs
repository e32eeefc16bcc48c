//! Every rule against its formula: over spaces, shapes and parameters, the ends of their ranges
//! included.

use guide_compiler::plan::Space;

use crate::case::{Set, Where, compare};
use crate::formulas::FORMULAS;
use crate::ticks::Noise;
use crate::walk;

/// Rules whose numbers are checked elsewhere.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "feedback",
        "`rules_by_paper` follows its estimate, with the rounding that it enlarges",
    ),
    (
        "inject",
        "`models` looks at what its networks are given; the program's tests at its picture",
    ),
    (
        "linear_adaptive",
        "`rules_by_formula` binds it a table for each run",
    ),
];

/// Parameters to try, for each rule; the defaults are always tried.
const SETS: &[(&str, &[Set])] = &[
    (
        "adaptive",
        &[
            &[("threshold", "0.9")],
            &[("threshold", "0.85"), ("scale", "3")],
            &[("threshold", "0.9"), ("space", "eps")],
            &[("threshold", "0.9"), ("space", "x0")],
            &[("threshold", "-1")],
            &[("threshold", "2")],
            &[("threshold", "0.9"), ("scale", "1")],
            &[("threshold", "0.9"), ("scale", "0")],
        ],
    ),
    (
        "apg",
        &[
            &[("scale", "1")],
            &[("scale", "0")],
            &[("eta", "1"), ("radius", "3")],
            &[("eta", "1"), ("radius", "0"), ("beta", "0")],
            &[("radius", "0"), ("beta", "0")],
            &[("radius", "0"), ("beta", "0.9"), ("eta", "0.25")],
            &[("radius", "1000"), ("scale", "15")],
            &[("radius", "0.001")],
            &[("beta", "-0.75"), ("radius", "7.5"), ("scale", "10")],
        ],
    ),
    (
        "autoguidance",
        &[&[("scale", "1")], &[("scale", "0")], &[("scale", "-1.5")]],
    ),
    (
        "calibrated_classifier",
        &[
            &[("scale", "3"), ("gamma", "0")],
            &[("joint", "2"), ("margin", "1"), ("gamma", "1")],
        ],
    ),
    (
        "calibrated_edm",
        &[
            &[("scale", "0.05"), ("gamma", "1")],
            &[("scale", "0"), ("joint", "2"), ("margin", "0.5")],
        ],
    ),
    (
        "cfg",
        &[
            &[("scale", "1")],
            &[("scale", "0")],
            &[("scale", "-2")],
            &[("scale", "30")],
        ],
    ),
    (
        "cfg_interval",
        &[
            &[("start", "0.2"), ("stop", "0.8")],
            &[("start", "0.5"), ("stop", "0.5")],
            &[("start", "0.9"), ("stop", "0.1")],
            &[("start", "0.29"), ("stop", "0.58"), ("scale", "3")],
            &[("stop", "0")],
            &[("start", "1")],
            &[("scale", "0"), ("start", "0.5")],
        ],
    ),
    (
        "cfg_pag",
        &[
            &[("scale", "1"), ("pag_scale", "0")],
            &[("scale", "0")],
            &[("scale", "0"), ("pag_scale", "0")],
            &[("scale", "1")],
            &[("pag_scale", "-7.5")],
        ],
    ),
    (
        "cfg_plus_plus",
        &[
            &[("lambda", "0")],
            &[("lambda", "1")],
            &[("lambda", "0.25")],
            &[("lambda", "1.5")],
        ],
    ),
    (
        "cfg_rescale",
        &[
            &[("scale", "1")],
            &[("scale", "0")],
            &[("phi", "0")],
            &[("phi", "1")],
            &[("phi", "0"), ("scale", "1")],
            &[("phi", "0"), ("scale", "0")],
            &[("scale", "12"), ("phi", "0.5")],
        ],
    ),
    (
        "cfg_scheduled",
        &[
            &[("shape", "constant")],
            &[("shape", "cosine")],
            &[("shape", "sine"), ("scale", "4")],
            &[("shape", "power"), ("power", "0")],
            &[("shape", "power"), ("power", "0.5")],
            &[("shape", "power"), ("power", "3")],
            &[("shape", "constant"), ("scale", "1")],
            &[("scale", "0")],
        ],
    ),
    (
        "cfg_zero_star",
        &[
            &[("zero_steps", "0")],
            &[("zero_steps", "3")],
            &[("zero_steps", "100")],
            &[("scale", "1")],
            &[("scale", "0"), ("zero_steps", "0")],
        ],
    ),
    (
        "classifier_guidance",
        &[&[("scale", "0")], &[("scale", "-2")], &[("scale", "0.5")]],
    ),
    ("composed", &[&[("scale", "0")], &[("scale", "2.5")]]),
    (
        "dynamic_threshold",
        &[
            &[("percentile", "1.0")],
            &[("percentile", "0")],
            &[("percentile", "0.5"), ("scale", "3")],
            &[("scale", "1")],
            &[("scale", "0")],
            &[("scale", "20"), ("percentile", "0.9")],
        ],
    ),
    ("experts", &[&[("scale", "0")], &[("scale", "1")]]),
    (
        "frequency_band",
        &[
            &[("cutoff", "1.0")],
            &[("cutoff", "0")],
            &[("cutoff", "0.3"), ("scale_low", "0")],
            &[("cutoff", "0.8"), ("scale_high", "1")],
            &[("scale_low", "1"), ("scale_high", "1")],
            &[("scale_low", "4"), ("scale_high", "4")],
            &[("scale_low", "0"), ("scale_high", "0")],
        ],
    ),
    (
        "frequency_decoupled",
        &[
            &[("levels", "3")],
            &[("levels", "3"), ("scale_low", "0")],
            &[("scale_low", "1"), ("scale_high", "1")],
            &[("scale_low", "0"), ("scale_high", "0"), ("levels", "3")],
            &[("scale_low", "10"), ("scale_high", "5")],
            &[("scale_low", "4"), ("scale_high", "4")],
        ],
    ),
    (
        "gradient_free",
        &[
            &[("low", "1"), ("high", "1")],
            &[("low", "2"), ("high", "2")],
            &[("low", "0"), ("high", "0")],
            &[("low", "-1"), ("high", "6")],
        ],
    ),
    (
        "gradient_free_auto",
        &[&[("scale", "1")], &[("scale", "0")], &[("scale", "4")]],
    ),
    (
        "independent",
        &[&[("scale", "1")], &[("scale", "0")], &[("scale", "-1.5")]],
    ),
    (
        "limited_interval",
        &[
            &[("sigma_lo", "0.5"), ("sigma_hi", "4")],
            &[("sigma_lo", "0"), ("sigma_hi", "inf")],
            &[("sigma_lo", "3"), ("sigma_hi", "0.2")],
            &[("sigma_lo", "1"), ("sigma_hi", "1")],
            &[("scale", "1")],
            &[("scale", "0"), ("sigma_hi", "inf")],
        ],
    ),
    (
        "magnitude_aware",
        &[
            &[("alpha", "0")],
            &[("alpha", "0"), ("scale", "0")],
            &[("scale", "1")],
            &[("scale", "0"), ("alpha", "2")],
            &[("alpha", "50"), ("scale", "30")],
        ],
    ),
    (
        "mimic",
        &[
            &[("percentile", "1.0")],
            &[("percentile", "0")],
            &[("percentile", "0.8"), ("scale", "30")],
            &[("scale", "1"), ("mimic_scale", "1")],
            &[("scale", "3"), ("mimic_scale", "8")],
            &[("scale", "5"), ("mimic_scale", "5")],
            &[("scale", "0"), ("mimic_scale", "0")],
            &[("scale", "0")],
        ],
    ),
    (
        "momentum_cfg",
        &[
            &[("beta", "0")],
            &[("beta", "0.9"), ("scale", "3")],
            &[("scale", "1")],
            &[("scale", "0")],
            &[("scale", "0"), ("beta", "0")],
            &[("beta", "-1")],
        ],
    ),
    (
        "negative_attention",
        &[
            &[("scale", "1")],
            &[("mix", "0")],
            &[("scale", "3"), ("mix", "0.5")],
        ],
    ),
    (
        "pag",
        &[&[("scale", "0")], &[("scale", "-1")], &[("scale", "0.5")]],
    ),
    (
        "perp_neg",
        &[
            &[("neg_scale", "0")],
            &[("scale", "1")],
            &[("scale", "0")],
            &[("scale", "1"), ("neg_scale", "0")],
            &[("neg_scale", "2.5"), ("scale", "12")],
        ],
    ),
    (
        "push_apart",
        &[
            &[("strength", "0")],
            &[("threshold", "1")],
            &[("strength", "2"), ("layers", "up")],
        ],
    ),
    (
        "rectified_cfg_pp",
        &[
            &[("lambda", "0")],
            &[("power", "1")],
            &[("power", "0.5"), ("lambda", "2")],
            &[("lambda", "4.5")],
        ],
    ),
    (
        "sag",
        &[
            &[("strength", "0")],
            &[("scale", "1")],
            &[("scale", "1"), ("strength", "0")],
            &[("scale", "0"), ("strength", "-1")],
            &[("scale", "3"), ("strength", "2")],
            &[("sigma", "0.5"), ("threshold", "0.5")],
            &[("sigma", "3"), ("threshold", "100")],
            &[("threshold", "-100")],
        ],
    ),
    (
        "seg",
        &[
            &[("scale", "0")],
            &[("sigma", "10")],
            &[("scale", "-1"), ("sigma", "10")],
        ],
    ),
    (
        "semantic",
        &[
            &[("scale", "1")],
            &[("scale", "15"), ("most", "1.1")],
            &[("least", "1"), ("most", "1")],
            &[("least", "0"), ("most", "100")],
        ],
    ),
    (
        "slg",
        &[
            &[("start", "0"), ("stop", "1")],
            &[("start", "0.3"), ("stop", "0.7"), ("scale", "1")],
            &[("start", "0.5"), ("stop", "0.5")],
            &[("skip_scale", "0"), ("stop", "1")],
            &[("scale", "1"), ("skip_scale", "0"), ("stop", "1")],
        ],
    ),
    (
        "sine_edit",
        &[
            &[("pretrained", "1")],
            &[("pretrained", "0")],
            &[("from", "0"), ("pretrained", "0.75")],
            &[("from", "1000"), ("scale", "3")],
            &[("from", "1001")],
            &[("scale", "1")],
            &[("scale", "0")],
        ],
    ),
    ("steer_away", &[&[("scale", "0")], &[("scale", "0.8")]]),
    (
        "tangential",
        &[&[("scale", "1")], &[("scale", "0")], &[("scale", "15")]],
    ),
    (
        "time_step",
        &[&[("scale", "1")], &[("scale", "0")], &[("spread", "0.5")]],
    ),
    ("universal", &[&[("scale", "0")], &[("scale", "-2")]]),
];

/// Where rules are tried. The last shape has sides that no pyramid halves, the second one row.
fn places(name: &str) -> Vec<Where> {
    let spaces = [
        (Space::Eps, Noise::Preserving),
        (Space::V, Noise::Preserving),
        (Space::X0, Noise::Preserving),
        (Space::Flow, Noise::Flow),
        (Space::V, Noise::Flow),
    ];
    let shapes: &[[usize; 3]] = match name {
        // Sides that can be halved twice.
        "frequency_decoupled" => &[[4, 8, 8], [1, 16, 12], [3, 12, 20]],
        _ => &[[4, 8, 8], [2, 1, 9], [3, 5, 7]],
    };
    let runs = [(3, 7), (1, 1), (2, 4)];
    let mut places = Vec::new();
    for (i, (space, noise)) in spaces.into_iter().enumerate() {
        for (j, shape) in shapes.iter().enumerate() {
            let (batch, steps) = runs[(i + j) % runs.len()];
            places.push(Where {
                space,
                noise,
                batch,
                shape: *shape,
                steps,
                seed: (10 * i + j) as u64,
            });
        }
    }
    // In pure noise a gradient of scores has no clean sample.
    let by_score = [
        "classifier_guidance",
        "experts",
        "universal",
        "calibrated_classifier",
    ]
    .contains(&name);
    places.retain(|at| !by_score || at.noise == Noise::Preserving);
    // Points elsewhere than `x` are recorded for flow models alone.
    places.retain(|at| name != "rectified_cfg_pp" || at.space == Space::Flow);
    places
}

fn check(name: &str) {
    let known = FORMULAS.iter().find(|(known, _, _)| *known == name);
    let (_, needs, formula) = known.unwrap_or_else(|| panic!("no formula for {name}"));
    let sets = SETS.iter().find(|(known, _)| *known == name);
    let (_, sets) = sets.unwrap_or_else(|| panic!("no parameters for {name}"));
    for at in places(name) {
        compare(name, &[], *needs, *formula, &at);
        for set in *sets {
            compare(name, set, *needs, *formula, &at);
        }
    }
}

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let mut trials = Vec::new();
    for rule in walk::rules() {
        if ELSEWHERE.iter().all(|(name, _)| *name != rule.name) {
            let name = rule.name;
            trials.push(walk::trial(format!("formula::{name}"), move || check(name)));
        }
    }
    trials
}
