//! What the words mean that the language brings, in a sentence each.

const WORDS: &[(&str, &str)] = &[
    ("step", "The number of the step, from 0."),
    ("steps", "How many steps the run has; known before it."),
    (
        "substep",
        "0 in a step's first evaluation of the rule, 1 and more in a corrector's.",
    ),
    (
        "progress",
        "`step / steps`: the share of the run that is done.",
    ),
    (
        "fraction",
        "`step / (steps - 1)`: 0 in the first step, 1 in the last.",
    ),
    ("t", "The time that the network is given."),
    (
        "t1000",
        "The training timestep, or 1000 times the time of a flow model.",
    ),
    (
        "alpha",
        "The share of the clean sample in `x`: `x = alpha*x0 + sigma*eps`.",
    ),
    (
        "sigma",
        "The share of the noise in `x`: `x = alpha*x0 + sigma*eps`.",
    ),
    (
        "sigma_ratio",
        "`sigma / alpha`: the sigma of EDM and k-diffusion.",
    ),
    ("snr", "`alpha^2 / sigma^2`, the signal-to-noise ratio."),
    ("log_snr", "The logarithm of the signal-to-noise ratio."),
    (
        "posterior_variance",
        "The variance of the next latent, given this one and the clean sample.",
    ),
    (
        "alpha_next",
        "`alpha` of the next evaluation; 1 at the end.",
    ),
    (
        "sigma_next",
        "`sigma` of the next evaluation; 0 at the end.",
    ),
    ("t_next", "`t` of the next evaluation; 0 at the end."),
    ("x", "The noisy latent of this step."),
    ("target", "The class that the run aims at."),
    ("pi", "3.14159…"),
    ("inf", "Infinity."),
    ("noise", "The noise in `x`; known only in an objective."),
    (
        "hold",
        "The outcome of a step that leaves the latent as it is.",
    ),
    ("cond", "The condition: the prompt, or the class."),
    (
        "uncond",
        "The negative prompt where there is one, else the null condition.",
    ),
    ("negative", "Another word for `uncond`."),
    ("null", "The null condition: nothing is asked for."),
    (
        "all",
        "All layers of the network; or all axes but the batch.",
    ),
    (
        "channels",
        "The axis of channels: a reduction over it gives a `Map`.",
    ),
    (
        "space",
        "The axes of space: a reduction over them gives a `PerChannel`.",
    ),
    ("mid", "The layers in the middle of the network."),
    ("down", "The layers on the network's way down."),
    ("up", "The layers on the network's way up."),
    ("self", "Self-attentions."),
    ("cross", "Cross-attentions."),
    ("main", "The model that the run was given."),
    ("none", "No intervention."),
    (
        "image",
        "What a classifier sees that was trained on pictures.",
    ),
    ("batch", "The first sample of the batch."),
    ("eps", "The space of the noise."),
    ("x0", "The space of the clean sample."),
    (
        "v",
        "The space of the velocity of Salimans and Ho: `v = alpha*eps - sigma*x0`.",
    ),
    (
        "flow",
        "The space of the velocity of rectified flow: `flow = eps - x0`.",
    ),
    (
        "score",
        "The space of the gradient of the log-density: `eps = -sigma*score`.",
    ),
    (
        "native",
        "The main model's own space, whatever it predicts.",
    ),
    ("latent", "The space of differences of latents."),
];

const KINDS: &[(&str, &str)] = &[
    (
        "Scalar",
        "A number: one for the run, for a step, or for each sample.",
    ),
    ("Bool", "A truth value."),
    (
        "Prediction",
        "What a network answers, or a mix of such with weights that add up to 1: a point.",
    ),
    (
        "Direction",
        "A difference of predictions: its weights add up to 0.",
    ),
    ("Tensor", "A prediction or a direction, or any other mix."),
    ("Latent", "A noisy sample, as `x` is."),
    ("Map", "A number for each place of the picture."),
    ("Mask", "A map between 0 and 1."),
    ("PerChannel", "A number for each channel."),
    ("Raw", "Numbers without weight or space."),
    ("Class", "A class of a classifier or of the model."),
    ("Probs", "The probabilities of classes."),
    ("Logits", "The logits of classes."),
    (
        "Layers",
        "Layers of the network: `mid`, `up`, `\"up.1.attn.0\"`, `down + mid`.",
    ),
    ("Axes", "Axes of a tensor: `all`, `channels`, `space`."),
    (
        "Prompt",
        "A condition by a text; `Prompt[]` is a list of such.",
    ),
    ("Image", "A picture."),
    ("Table", "Rows of numbers."),
    (
        "Trajectory",
        "The latents of an inverted picture, step by step.",
    ),
    ("Tokens", "Some tokens of a prompt."),
    ("Guide", "A guide with its arguments, which can be called."),
    ("Outcome", "What a guide returns."),
];

/// What a built-in value, a condition, a contextual word or a space means.
pub fn word(word: &str) -> Option<&'static str> {
    find(WORDS, word)
}

/// What a kind is.
pub fn kind(name: &str) -> Option<&'static str> {
    find(KINDS, name)
}

/// The names of all kinds.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(name, _)| *name)
}

fn find(table: &[(&str, &'static str)], wanted: &str) -> Option<&'static str> {
    let found = table.iter().find(|(name, _)| *name == wanted);
    found.map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::{KINDS, WORDS};
    use crate::primitives::{CONDITIONS, CONTEXT_WORDS, SPACES, VALUES};
    use crate::resolve::kind_names;
    use std::collections::BTreeSet;

    #[test]
    fn every_word_of_the_language_is_described_once() {
        let all = [VALUES, CONDITIONS, CONTEXT_WORDS, SPACES].concat();
        let wanted: BTreeSet<&str> = all.iter().copied().collect();
        let described: BTreeSet<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        assert_eq!(described, wanted);
        assert_eq!(WORDS.len(), described.len());
    }

    #[test]
    fn every_kind_is_described_once() {
        let wanted: BTreeSet<&str> = kind_names().collect();
        let described: BTreeSet<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        assert_eq!(described, wanted);
        assert_eq!(KINDS.len(), described.len());
    }
}
