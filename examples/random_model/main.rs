//! Writes a model of full size with random weights, in diffusers layout: speed and memory can then be
//! measured on a machine without a download. Its pictures are noise.
//!
//!     cargo run --release --example random_model -- sd15|sd21|sdxl DIR [--dtype f32|f16] [--seed N] [--tiny]
//!
//! The configs and the tokenizer are those of the published models. `--tiny` writes networks of the same
//! make with few channels, for tests.
#![allow(clippy::print_stderr, reason = "a program of its own")]

mod model;
mod shapes;
mod write;

use std::path::PathBuf;
use std::process::ExitCode;

use model::Model;
use write::{Dtype, Request};

const USAGE: &str = "usage: random_model sd15|sd21|sdxl DIR [--dtype f32|f16] [--seed N] [--tiny]";

fn main() -> ExitCode {
    let done = request(std::env::args().skip(1)).and_then(|request| {
        write::write(&request, &mut |part, done, total| {
            let of = |bytes: u64| bytes as f64 / 1e9;
            eprintln!("{part}: {:.2} of {:.2} GB", of(done), of(total));
        })
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn request(mut args: impl Iterator<Item = String>) -> Result<Request, String> {
    let (mut places, mut tiny) = (Vec::new(), false);
    let (mut dtype, mut seed) = (Dtype::F32, 0);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value; {USAGE}"));
        match arg.as_str() {
            "--tiny" => tiny = true,
            "--seed" => {
                seed = value()?
                    .parse()
                    .map_err(|_| "--seed takes a whole number")?
            }
            "--dtype" => {
                dtype = match value()?.as_str() {
                    "f32" => Dtype::F32,
                    "f16" => Dtype::F16,
                    other => return Err(format!("there is no type '{other}'; {USAGE}")),
                }
            }
            other if other.starts_with('-') => {
                return Err(format!("there is no option '{other}'; {USAGE}"));
            }
            _ => places.push(arg),
        }
    }
    let [name, folder] = &places[..] else {
        return Err(USAGE.to_owned());
    };
    let model = Model::named(name).ok_or(format!("there is no model '{name}'; {USAGE}"))?;
    Ok(Request {
        model: if tiny { model.tiny() } else { model },
        folder: PathBuf::from(folder),
        dtype,
        seed,
    })
}
