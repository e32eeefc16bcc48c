//! What interventions cost: a forward pass of the embedded model's UNet with each, against one without,
//! in turns.

use std::time::Duration;

use candle_core::{DType, Device, Tensor};
use guide_compiler::plan::{ArgValue, Condition, Intervention, InterventionArg, LayerTerm, Layers};
use guide_runtime::interventions::{Hooks, Operands, build};
use guide_runtime::models::embedded;
use guide_runtime::models::sd::{Span, UNet, UNetConfig};
use guide_runtime::weights::Weights;

use crate::noise;
use crate::turns::{ms, take};

/// Latents of a picture of 128x128.
const LATENTS: [usize; 4] = [1, 4, 32, 32];
const TURNS: usize = 9;

/// An intervention: its name, layers and numbers.
type Case = (&'static str, LayerTerm, &'static [(&'static str, f64)]);

const CASES: &[Case] = &[
    ("identity_attention", LayerTerm::Mid, &[]),
    ("identity_attention", LayerTerm::All, &[]),
    ("blur_attention", LayerTerm::All, &[("sigma", 2.0)]),
    (
        "blur_attention",
        LayerTerm::All,
        &[("sigma", f64::INFINITY)],
    ),
    ("skip_layers", LayerTerm::Mid, &[]),
    ("skip_layers", LayerTerm::Up, &[]),
    ("shuffle_tokens", LayerTerm::Down, &[]),
    (
        "scale_skips",
        LayerTerm::All,
        &[("b1", 1.4), ("b2", 1.6), ("s1", 0.9), ("s2", 0.2)],
    ),
    (
        "negative_attention",
        LayerTerm::Cross,
        &[("scale", 5.0), ("tau", 2.5), ("mix", 0.25)],
    ),
    ("steer_away", LayerTerm::Cross, &[("scale", 0.2)]),
];

/// The table.
pub fn run() {
    let source = embedded::source();
    let config = UNetConfig::read(&source, "unet").unwrap();
    let text = [1, 77, config.cross_attention_dim[0]];
    let weights = Weights::open(
        &source,
        "unet",
        "diffusion_pytorch_model",
        DType::F32,
        &Device::Cpu,
    );
    let unet = UNet::load(&weights.unwrap(), config).unwrap();
    let (x, text, other) = (noise(&LATENTS, 1), noise(&text, 2), noise(&text, 3));
    let forward = |hooks: &Hooks| {
        unet.forward(&x, &[501.0], &text, hooks)
            .map_err(candle_core::Error::wrap)
    };
    println!("\n| a forward pass with | ms | of one without |\n| --- | --- | --- |");
    for (name, layers, numbers) in CASES {
        let hooks = hooks(&unet, &other, name, layers, numbers);
        let times = take(TURNS, Duration::ZERO, &|| forward(Hooks::NONE), &|| {
            forward(&hooks)
        });
        let shown = match *name {
            "scale_skips" => (*name).to_owned(),
            "blur_attention" => format!("{name}({layers}, {})", numbers[0].1),
            name => format!("{name}({layers})"),
        };
        println!(
            "| `{shown}` | {:.1} | {:.3} |",
            ms(times.ours),
            times.ratio()
        );
    }
    shared(&unet, &x, &text);
}

/// Two passes that differ from the middle on.
fn shared(unet: &UNet, x: &Tensor, text: &Tensor) {
    let layers = LayerTerm::Mid;
    let hooks = hooks(unet, text, "identity_attention", &layers, &[]);
    let until = unet
        .layers()
        .iter()
        .position(|name| name == "mid.attn.0.self");
    let leave = [until.unwrap()];
    let apart = || {
        let plain = unet.forward(x, &[501.0], text, Hooks::NONE);
        let changed = unet.forward(x, &[501.0], text, &hooks);
        plain.and(changed).map_err(candle_core::Error::wrap)
    };
    let together = || {
        let span = Span {
            begun: None,
            leave: &leave,
        };
        let (_, left) = unet
            .forward_in(x, &[501.0], text, Hooks::NONE, span)
            .map_err(candle_core::Error::wrap)?;
        let span = Span {
            begun: left.first(),
            leave: &[],
        };
        let changed = unet.forward_in(x, &[501.0], text, &hooks, span);
        Ok(changed.map_err(candle_core::Error::wrap)?.0)
    };
    let times = take(TURNS, Duration::ZERO, &apart, &together);
    println!("\n| `cond` and `cond~identity_attention(mid)` | ms | of two passes |");
    println!("| --- | --- | --- |");
    println!(
        "| the way to the middle once | {:.1} | {:.3} |",
        ms(times.ours),
        times.ratio()
    );
}

fn hooks(
    unet: &UNet,
    other: &Tensor,
    name: &str,
    layers: &LayerTerm,
    numbers: &[(&str, f64)],
) -> Hooks {
    let arg = |name: &str, value: ArgValue| InterventionArg {
        name: name.to_owned(),
        value,
    };
    let word = |text: &str| ArgValue::Text(text.to_owned());
    let mut args = vec![
        arg("layers", ArgValue::Layers(Layers::of(layers.clone()))),
        arg("minus", ArgValue::Condition(Condition::Uncond)),
        arg("from", ArgValue::Condition(Condition::Uncond)),
        arg("norm", word("l1")),
        arg("salt", word("")),
        arg("backbone", word("constant")),
        arg("by", word("level")),
    ];
    let numbers = numbers.iter();
    args.extend(numbers.map(|(name, value)| arg(name, ArgValue::Number(*value))));
    let one = Intervention {
        name: name.to_owned(),
        args,
    };
    let states = |_: &Condition| Ok(other.clone());
    let operands = Operands {
        tick: 0,
        step: 0,
        seeds: &[0],
        states: &states,
        places: &|_| Ok(vec![1]),
        maps: &[],
    };
    build(&[one], unet.layers(), operands).unwrap()
}
