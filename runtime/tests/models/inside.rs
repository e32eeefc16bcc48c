//! What interventions do to a network, against the same network in f64 by plain loops.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use guide_compiler::plan::{
    ArgValue, Condition, Intervention, InterventionArg, LayerTerm, Layers, Tokens,
};
use guide_runtime::error::{ErrorKind, Result};
use guide_runtime::interventions::{self, Hooks, Operands};
use guide_runtime::models::sd::UNet;
use guide_runtime::weights::Source;

use super::slow::{self, Ask, Change, Plain, Slow, maps, tensor, texts};
use super::support::{Expected, furthest, oracle};
use super::unet;

/// What f32 loses over the tiny network's fifty layers, of answers of size 1: three times what is seen.
const ROUNDING: f64 = 2e-5;
/// An intervention that does nothing would pass for one that does little; ours change more than this.
const SEEN: f64 = 1e-2;

const TIME: f64 = 433.0;
const TICK: usize = 2;
pub const STEP: u32 = 5;
pub const SEEDS: [u64; 2] = [7, 11];

/// A tiny network twice, and what it is asked.
pub struct World {
    pub unet: UNet,
    pub slow: Slow,
    /// `[2, 4, 8, 8]`
    pub latents: Tensor,
    /// The text of each sample.
    pub text: Tensor,
    /// The text that is led away from, `[1, L, D]`.
    pub other: Tensor,
    /// A region of the picture for each sample, `[2, 1, 8, 8]`.
    pub region: Tensor,
}

impl World {
    pub fn new() -> Result<Self> {
        let folder: PathBuf = oracle().join("models/tiny-sd15");
        let expected = Expected::read("tiny-sd15");
        let latents = expected.tensor("latents.init").narrow(2, 3, 8)?;
        let states = |name: &str| expected.tensor(&format!("text.{name}.last_hidden_state"));
        Ok(Self {
            unet: unet(&Source::Folder(folder.clone()))?,
            slow: Slow::read(&folder),
            latents: latents.narrow(3, 5, 8)?.contiguous()?,
            text: states("cond"),
            other: states("uncond").narrow(0, 1, 1)?.contiguous()?,
            region: region()?,
        })
    }

    pub fn hooks(&self, list: &[Intervention]) -> Result<Hooks> {
        let states = |condition: &Condition| {
            assert_eq!(condition, &Condition::Uncond);
            Ok(self.other.clone())
        };
        let operands = Operands {
            tick: TICK,
            step: STEP,
            seeds: &SEEDS,
            states: &states,
            places: &|tokens| match tokens {
                Tokens::Places(places) => Ok(places.clone()),
                Tokens::Words(words) => panic!("{words} is not looked for"),
            },
            maps: std::slice::from_ref(&self.region),
        };
        let hooks = interventions::build(list, self.unet.layers(), operands)?;
        Ok(hooks.for_rows(&[0, 1]))
    }

    pub fn fast(&self, hooks: &Hooks) -> Result<Tensor> {
        let times = vec![TIME; self.latents.dim(0)?];
        self.unet.forward(&self.latents, &times, &self.text, hooks)
    }

    pub fn plainly(&self, change: &dyn Change) -> Tensor {
        let (xs, told) = (maps(&self.latents), texts(&self.text));
        tensor(&self.slow.forward(&xs, TIME, &told, change))
    }

    /// The changed network answers as the slow one does, and not as the unchanged one.
    #[track_caller]
    pub fn same(&self, list: &[Intervention], change: &dyn Change) -> Result<()> {
        let changed = self.fast(&self.hooks(list)?)?.to_dtype(DType::F64)?;
        let wanted = self.plainly(change);
        let off = furthest(&changed, &wanted);
        assert!(off < ROUNDING, "{list:?}: off by {off:e}");
        let plain = self.fast(Hooks::NONE)?.to_dtype(DType::F64)?;
        let moved = furthest(&changed, &plain);
        assert!(moved > SEEN, "{list:?} changes only {moved:e}");
        Ok(())
    }
}

/// The left half and a corner, each with another number.
fn region() -> Result<Tensor> {
    let of = |i: usize| match (i / 64, i / 8 % 8, i % 8) {
        (0, _, x) if x < 4 => 1.0f32,
        (1, y, x) if y < 3 && x > 2 => 0.5,
        _ => 0.0,
    };
    let numbers: Vec<f32> = (0..128).map(of).collect();
    Ok(Tensor::from_vec(numbers, (2, 1, 8, 8), &Device::Cpu)?)
}

pub fn number(name: &str, value: f64) -> InterventionArg {
    InterventionArg {
        name: name.into(),
        value: ArgValue::Number(value),
    }
}

pub fn argument(name: &str, value: ArgValue) -> InterventionArg {
    InterventionArg {
        name: name.into(),
        value,
    }
}

pub fn layers(term: LayerTerm) -> InterventionArg {
    argument("layers", ArgValue::Layers(Layers::of(term)))
}

fn nag(scale: f64, tau: f64, mix: f64, norm: &str, term: LayerTerm) -> Intervention {
    Intervention {
        name: "negative_attention".into(),
        args: vec![
            argument("minus", ArgValue::Condition(Condition::Uncond)),
            number("scale", scale),
            number("tau", tau),
            number("mix", mix),
            argument("norm", ArgValue::Text(norm.into())),
            layers(term),
        ],
    }
}

fn nasa(scale: f64) -> Intervention {
    Intervention {
        name: "steer_away".into(),
        args: vec![
            argument("from", ArgValue::Condition(Condition::Uncond)),
            number("scale", scale),
            layers(LayerTerm::Cross),
        ],
    }
}

/// `z` of the paper's equations 8 to 10, token by token.
struct Nag<'a> {
    world: &'a World,
    scale: f64,
    tau: f64,
    mix: f64,
    power: f64,
    side: &'a str,
}

impl Change for Nag<'_> {
    fn attended(&self, layer: &str, given: Vec<slow::Tokens>, ask: &Ask<'_>) -> Vec<slow::Tokens> {
        if !(layer.ends_with("cross") && layer.starts_with(self.side)) {
            return given;
        }
        let negative = ask(&vec![texts(&self.world.other).remove(0); given.len()]);
        let norm = |token: &[f64]| {
            let sum: f64 = token.iter().map(|v| v.abs().powf(self.power)).sum();
            sum.powf(1.0 / self.power)
        };
        let token = |(p, n): (&Vec<f64>, &Vec<f64>)| -> Vec<f64> {
            let g = p
                .iter()
                .zip(n)
                .map(|(p, n)| p * self.scale - n * (self.scale - 1.0));
            let g: Vec<f64> = g.collect();
            let ratio = norm(&g) / norm(p);
            let cut = ratio.min(self.tau) / ratio;
            let mixed = g.iter().zip(p);
            mixed
                .map(|(g, p)| g * cut * self.mix + p * (1.0 - self.mix))
                .collect()
        };
        let one = |(p, n): (&slow::Tokens, &slow::Tokens)| p.iter().zip(n).map(token).collect();
        given.iter().zip(&negative).map(one).collect()
    }
}

/// `z(cond) - scale z(negative)`.
struct Nasa<'a>(&'a World, f64);

impl Change for Nasa<'_> {
    fn attended(
        &self,
        layer: &str,
        mut given: Vec<slow::Tokens>,
        ask: &Ask<'_>,
    ) -> Vec<slow::Tokens> {
        if layer.ends_with("cross") {
            let negative = ask(&vec![texts(&self.0.other).remove(0); given.len()]);
            let pairs = given.iter_mut().flatten().flatten();
            for (p, n) in pairs.zip(negative.iter().flatten().flatten()) {
                *p -= self.1 * n;
            }
        }
        given
    }
}

#[test]
fn the_slow_network_is_the_reference() -> Result<()> {
    let world = World::new()?;
    let fast = world.fast(Hooks::NONE)?.to_dtype(DType::F64)?;
    let off = furthest(&fast, &world.plainly(&Plain));
    assert!(off < ROUNDING, "off by {off:e}");
    Ok(())
}

#[test]
fn negative_attention_is_that_of_its_paper() -> Result<()> {
    let world = &World::new()?;
    // The second `tau` is reached by most tokens, the first by none; `l2` is what Flux's code takes.
    for (scale, tau, mix, norm, power) in [
        (5.0, 50.0, 0.25, "l1", 1.0),
        (9.0, 1.1, 0.5, "l1", 1.0),
        (9.0, 1.1, 1.0, "l2", 2.0),
        (-3.0, 0.0, 0.3, "l1", 1.0),
    ] {
        let change = Nag {
            world,
            scale,
            tau,
            mix,
            power,
            side: "",
        };
        world.same(&[nag(scale, tau, mix, norm, LayerTerm::All)], &change)?;
    }
    let change = Nag {
        world,
        scale: 20.0,
        tau: 4.0,
        mix: 1.0,
        power: 1.0,
        side: "up",
    };
    world.same(&[nag(20.0, 4.0, 1.0, "l1", LayerTerm::Up)], &change)
}

#[test]
fn a_scale_of_one_and_a_share_of_none_change_nothing() -> Result<()> {
    let world = World::new()?;
    let plain = world.fast(Hooks::NONE)?;
    for (scale, mix) in [(1.0, 0.25), (5.0, 0.0)] {
        let hooks = world.hooks(&[nag(scale, 2.5, mix, "l1", LayerTerm::Cross)])?;
        let off = furthest(&world.fast(&hooks)?, &plain);
        assert!(off < 1e-6, "scale {scale}, mix {mix}: {off:e}");
    }
    let off = furthest(&world.fast(&world.hooks(&[nasa(0.0)])?)?, &plain);
    assert_eq!(off, 0.0);
    Ok(())
}

#[test]
fn steering_away_is_that_of_its_paper() -> Result<()> {
    let world = World::new()?;
    for scale in [0.2, 0.8, -1.0] {
        world.same(&[nasa(scale)], &Nasa(&world, scale))?;
    }
    Ok(())
}

/// Each works on what the one before it gave.
#[test]
fn a_list_of_interventions_works_in_order() -> Result<()> {
    struct Both<'a>(Vec<&'a dyn Change>);
    impl Change for Both<'_> {
        fn attended(
            &self,
            layer: &str,
            given: Vec<slow::Tokens>,
            ask: &Ask<'_>,
        ) -> Vec<slow::Tokens> {
            let one = |given, change: &&dyn Change| change.attended(layer, given, ask);
            self.0.iter().fold(given, one)
        }
    }
    let world = World::new()?;
    let first = Nag {
        world: &world,
        scale: 9.0,
        tau: 1.1,
        mix: 0.5,
        power: 1.0,
        side: "",
    };
    let second = Nasa(&world, 0.8);
    let (one, two) = (nag(9.0, 1.1, 0.5, "l1", LayerTerm::All), nasa(0.8));
    world.same(&[one.clone(), two.clone()], &Both(vec![&first, &second]))?;
    world.same(&[two.clone(), one.clone()], &Both(vec![&second, &first]))?;
    let answers = [[one.clone(), two.clone()], [two, one]].map(|list| {
        let hooks = world.hooks(&list).unwrap();
        world.fast(&hooks).unwrap()
    });
    assert!(furthest(&answers[0], &answers[1]) > SEEN);
    Ok(())
}

/// A text that is longer than the prompt's, and samples that do not see each other.
#[test]
fn the_other_text_may_have_another_length() -> Result<()> {
    let mut world = World::new()?;
    world.other = Tensor::cat(&[&world.other, &world.other], 1)?;
    let change = Nasa(&world, 0.5);
    world.same(&[nasa(0.5)], &change)?;
    let hooks = world.hooks(&[nasa(0.5)])?;
    let both = world.fast(&hooks)?;
    world.latents = world.latents.narrow(0, 1, 1)?;
    world.text = world.text.narrow(0, 1, 1)?;
    let alone = world.fast(&hooks)?;
    assert_eq!(furthest(&both.narrow(0, 1, 1)?, &alone), 0.0);
    Ok(())
}

pub fn plain(name: &str, args: Vec<InterventionArg>) -> Intervention {
    Intervention {
        name: name.into(),
        args,
    }
}

/// A strength that changes over the run has its value in the tick at hand.
#[test]
fn a_strength_may_change_over_the_run() -> Result<()> {
    let world = World::new()?;
    let mut changing = nasa(0.0);
    changing.args[1].value = ArgValue::Curve(guide_compiler::plan::Number {
        text: "0.4*step".into(),
        values: vec![0.0, 0.4, 0.8],
    });
    let fast = world.fast(&world.hooks(&[changing])?)?;
    let fixed = world.fast(&world.hooks(&[nasa(0.8)])?)?;
    assert_eq!(furthest(&fast, &fixed), 0.0);
    Ok(())
}

#[test]
fn what_an_intervention_lacks_is_said() -> Result<()> {
    let world = World::new()?;
    let mut lacking = nag(5.0, 2.5, 0.25, "l1", LayerTerm::Cross);
    lacking.args.remove(0);
    let error = world.hooks(&[lacking]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadPlan);
    let odd = nag(5.0, 2.5, 0.25, "l3", LayerTerm::Cross);
    assert_eq!(world.hooks(&[odd]).unwrap_err().kind, ErrorKind::BadPlan);
    let elsewhere = nag(5.0, 2.5, 0.25, "l1", LayerTerm::SelfAttention);
    let error = world.hooks(&[elsewhere]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSuchLayers);
    Ok(())
}
