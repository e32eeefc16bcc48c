//! What gradients through networks hold, counted at the allocator, against what is stated before a run. A
//! program of its own, since nothing else may allocate meanwhile.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(unsafe_code, reason = "an allocator has no safe interface")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use candle_core::{DType, Device, Tensor};
use guide_runtime::error::Result;
use guide_runtime::interventions::Hooks;
use guide_runtime::models::embedded;
use guide_runtime::models::sd::{Framing, UNet, UNetConfig, Vae, VaeConfig};
use guide_runtime::noise::Generator;
use guide_runtime::weights::{Source, Weights};

use support::{Expected, Told};

/// Counts the bytes that are held.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn grown(bytes: usize) {
    let held = HELD.fetch_add(bytes, SeqCst) + bytes;
    MOST.fetch_max(held, SeqCst);
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), SeqCst);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `work` holds at once besides what was held before.
fn most(work: &dyn Fn() -> Result<Tensor>) -> Result<f64> {
    // What threads keep for their next task is there the second time.
    work()?;
    let before = HELD.load(SeqCst);
    MOST.store(before, SeqCst);
    work()?;
    Ok((MOST.load(SeqCst) - before) as f64)
}

/// What is stated may be more by this share: gradients that share memory are counted one by one.
const MORE: f64 = 0.2;
/// And less by this one: what does not grow with the maps is not counted.
const LESS: f64 = 0.01;

#[track_caller]
fn holds(what: &str, stated: u64, measured: f64) {
    let share = stated as f64 / measured;
    assert!(
        (1.0 - LESS..=1.0 + MORE).contains(&share),
        "{what} holds {measured} bytes, and {stated} are stated, {share:.3} times as many"
    );
}

fn noise(shape: &[usize]) -> Result<Tensor> {
    let numbers = Generator::new(5).normals(shape.iter().product());
    Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
}

fn open(source: &Source, folder: &str) -> Result<Weights> {
    let stem = "diffusion_pytorch_model";
    Weights::open(source, folder, stem, DType::F32, &Device::Cpu)
}

/// The embedded model's networks, and small ones of the families' makes at a larger size.
#[test]
fn gradients_hold_what_is_stated() -> Result<()> {
    // How much is under way at once does not hang on the machine then.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.unwrap().install(|| {
        through_networks("pocket", &embedded::source(), [16, 16])?;
        for model in ["tiny-sd15", "tiny-sd21", "tiny-sdxl"] {
            through_networks(model, &Expected::read(model).source(), [40, 33])?;
        }
        Ok(())
    })
}

fn through_networks(model: &str, source: &Source, [height, width]: [usize; 2]) -> Result<()> {
    let mut config = UNetConfig::read(source, "unet")?;
    // All heads at once are stated, and one thread works one.
    config.heads.fill(1);
    let stated = config.backward(height, width);
    let x = noise(&[1, config.in_channels, height, width])?;
    let told = told(&config)?;
    let unet = UNet::load(&open(source, "unet")?, config)?;
    let measured = most(&|| unet.back(&x, &[433.0], &told, &Hooks::default(), &x))?;
    holds(&format!("{model}'s network"), stated, measured);

    let config = VaeConfig::read(source, "vae")?;
    let stated = config.backward(height, width);
    let x = noise(&[1, config.latent_channels, height, width])?;
    let vae = Vae::load(&open(source, "vae")?, config)?;
    let measured = most(&|| vae.decode_back(&x, &|picture| Ok(picture.clone())))?;
    holds(&format!("{model}'s decoder"), stated, measured);
    Ok(())
}

/// Something to condition a network on.
fn told(config: &UNetConfig) -> Result<Told> {
    let picture = Framing {
        original: (64, 64),
        crop: (0, 0),
        target: (64, 64),
    };
    let added = config
        .added
        .map(|added| -> Result<_> { Ok((noise(&[1, added.pooled_width])?, vec![picture])) });
    Ok(Told {
        states: noise(&[1, 77, config.cross_attention_dim[0]])?,
        added: added.transpose()?,
    })
}
