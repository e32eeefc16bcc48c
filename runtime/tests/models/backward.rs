//! The gradient through a network, against differences of the same network in f64 by plain loops; where
//! there is no such network, against differences of itself.

use candle_core::{DType, Device, Tensor};
use guide_runtime::error::Result;
use guide_runtime::interventions::Hooks;
use guide_runtime::models::sd::{UNetConfig, VaeConfig};
use guide_runtime::noise::Generator;

use super::inside::{SEEDS, World};
use super::slow::{Plain, maps, tensor, texts};
use super::support::{Expected, built, intervention};
use super::unet;

/// Half of the step of a difference in f64: what it leaves out is of the order of the square.
const STEP: f64 = 1e-4;
/// What f32 loses over the network and back, as a share of the slope.
const ROUNDING: f64 = 2e-4;
/// Half of the step of a difference in f32, and what such a difference is worth: rounding of answers of
/// size 1 over it.
const WIDE_STEP: f64 = 5e-3;
const WIDE: f64 = 1e-2;

const TIME: f64 = 433.0;

fn noise(seed: u64, like: &Tensor) -> Result<Tensor> {
    let numbers = Generator::new(seed).normals(like.elem_count());
    Ok(Tensor::from_vec(numbers, like.dims(), &Device::Cpu)?)
}

fn product(a: &Tensor, b: &Tensor) -> Result<f64> {
    let wide = |x: &Tensor| x.to_dtype(DType::F64);
    Ok((wide(a)? * wide(b)?)?.sum_all()?.to_scalar()?)
}

#[test]
fn it_is_the_slope_of_the_slow_network() -> Result<()> {
    let world = World::new()?;
    let by = noise(1, &world.latents)?;
    let times = vec![TIME; SEEDS.len()];
    let found = world
        .unet
        .back(&world.latents, &times, &world.text, &Hooks::default(), &by)?;
    let told = texts(&world.text);
    let value = |x: &Tensor| {
        let answer = tensor(&world.slow.forward(&maps(x), TIME, &told, &Plain));
        product(&answer, &by)
    };
    let wide = world.latents.to_dtype(DType::F64)?;
    // Along numbers without a pattern, and along the gradient itself, where nothing cancels.
    let own = (&found * (by.elem_count() as f64).sqrt())?;
    let own = (own / product(&found, &found)?.sqrt())?;
    for along in [noise(2, &by)?, own] {
        let step = (along.to_dtype(DType::F64)? * STEP)?;
        let slope = (value(&(&wide + &step)?)? - value(&(&wide - &step)?)?) / (2.0 * STEP);
        let (got, whole) = (product(&found, &along)?, product(&found, &found)?.sqrt());
        let off = (got - slope).abs();
        assert!(
            off < ROUNDING * slope.abs().max(whole),
            "{got}, and the slope is {slope}"
        );
    }
    Ok(())
}

#[test]
fn every_family_and_what_is_changed_inside_has_one() -> Result<()> {
    for model in super::MODELS {
        let expected = Expected::read(model);
        let unet = unet(&expected.source())?;
        let told = expected.told("cond").of(0);
        let x = expected.tensor("latents.init").narrow(0, 0, 1)?;
        // An odd side, which the way down rounds.
        let x = x.narrow(2, 0, 9)?.contiguous()?;
        let layers = |names: &[&str]| [intervention("identity_attention", names, None)];
        let skipped = [intervention("skip_layers", &["mid"], None)];
        for (at, changes) in [&[][..], &layers(&["mid", "down"]), &skipped]
            .iter()
            .enumerate()
        {
            let hooks = built(changes, unet.layers())?;
            let by = noise(3, &x)?;
            let found = unet.back(&x, &[TIME], &told, &hooks, &by)?;
            let length = product(&found, &found)?.sqrt();
            let step = (&found * (WIDE_STEP / length))?;
            let value = |x: &Tensor| product(&unet.forward(x, &[TIME], &told, &hooks)?, &by);
            let slope = (value(&(&x + &step)?)? - value(&(&x - &step)?)?) / (2.0 * WIDE_STEP);
            assert!(
                (slope - length).abs() < WIDE * length,
                "{model}, changes {at}: the slope is {slope}, and the gradient's length {length}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_sample_has_the_same_bits_beside_others_and_for_any_number_of_threads() -> Result<()> {
    let world = World::new()?;
    let by = noise(4, &world.latents)?;
    let of = |first: usize, count: usize| -> Result<Vec<u32>> {
        let rows = |all: &Tensor| all.narrow(0, first, count)?.contiguous();
        let (x, by, text) = (rows(&world.latents)?, rows(&by)?, rows(&world.text)?);
        let times = vec![TIME; count];
        let found = world.unet.back(&x, &times, &text, &Hooks::default(), &by)?;
        let numbers: Vec<f32> = found.flatten_all()?.to_vec1()?;
        Ok(numbers.into_iter().map(f32::to_bits).collect())
    };
    let together = of(0, 2)?;
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let alone = pool.unwrap().install(|| of(1, 1))?;
        assert!(together.ends_with(&alone), "{threads} threads");
    }
    Ok(())
}

/// Configs may name sizes that no machine has room for, and so many layers that nobody should wait for them.
#[test]
fn what_no_machine_holds_is_stated_at_once() -> Result<()> {
    let source = Expected::read("tiny-sd15").source();
    let most = 1 << 20;
    let mut config = UNetConfig::read(&source, "unet")?;
    config.block_out_channels.fill(most);
    config.layers_per_block.fill(64);
    config.transformer_layers.fill(64);
    assert_eq!(config.backward(most, most), u64::MAX);
    let mut config = VaeConfig::read(&source, "vae")?;
    config.block_out_channels.fill(most);
    assert_eq!(config.backward(most, most), u64::MAX);
    Ok(())
}
