//! An optimisation as far as it has come, in memory and in a file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;

use super::Adam;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::latents;
use crate::recording::File;

/// The metadata's `format`.
const FORMAT: &str = "guide-optimise/1";
/// Metadata: how many turns were taken.
const TURNS: &str = "turns";
/// The tensor that is moved.
const VARIABLE: &str = "variable";
/// The tensors beside it.
const MOMENTS: [&str; 2] = ["first_moment", "second_moment"];

/// What an optimisation is made of, by name: it goes on only from a file that says the same.
pub type Facts = BTreeMap<String, String>;

/// What is moved and Adam's moments after some turns.
#[derive(Clone, Debug)]
pub struct State {
    /// What is moved: latents or pictures, `[B, C, H, W]`, f32.
    pub variable: Tensor,
    /// The optimiser.
    pub adam: Adam,
}

impl State {
    /// Before the first turn.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(variable: Tensor, rate: f64) -> Result<Self> {
        Ok(Self {
            adam: Adam::new(rate, &variable)?,
            variable,
        })
    }

    /// Turns taken.
    pub fn turns(&self) -> u32 {
        self.adam.steps
    }

    /// Goes down a gradient.
    pub(super) fn step(&mut self, gradient: &Tensor) -> Result<()> {
        self.variable = self.adam.step(&self.variable, gradient)?;
        Ok(())
    }

    /// Writes it, so that it stands there whole or not at all.
    ///
    /// # Errors
    /// A place that cannot be written to.
    pub fn write(&self, path: &Path, facts: &Facts) -> Result<()> {
        let mut file = File::default();
        let moments = MOMENTS
            .into_iter()
            .zip([&self.adam.first, &self.adam.second]);
        for (name, tensor) in moments.chain([(VARIABLE, &self.variable)]) {
            file.floats(name, tensor.dims(), latents::numbers(tensor)?);
        }
        let mut metadata: HashMap<String, String> =
            facts.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        metadata.insert("format".to_owned(), FORMAT.to_owned());
        metadata.insert(TURNS.to_owned(), self.turns().to_string());
        file.save(path, metadata)
    }

    /// Reads what [`State::write`] wrote for the same facts.
    ///
    /// # Errors
    /// A file that cannot be read or is none of these (`BadBinding`); one that was made for something else:
    /// the first fact that differs is named.
    pub fn read(path: &Path, facts: &Facts, rate: f64, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| {
            let message = format!("`{}` cannot be read: {error}", path.display());
            RuntimeError::new(ErrorKind::Unreadable, message)
        })?;
        let other = |why: String| {
            let message = format!("`{}` cannot be gone on from: {why}", path.display());
            RuntimeError::new(ErrorKind::BadBinding, message)
        };
        let no_state = || other("it holds no state of an optimisation".to_owned());
        let (_, head) = SafeTensors::read_metadata(&bytes).map_err(|_| no_state())?;
        let known = head.metadata().clone().unwrap_or_default();
        if known.get("format").map(String::as_str) != Some(FORMAT) {
            return Err(no_state());
        }
        let differs = facts
            .iter()
            .find(|(name, value)| known.get(*name) != Some(*value));
        if let Some((name, wanted)) = differs {
            let there = known.get(name).map_or("nothing", String::as_str);
            return Err(other(format!(
                "its {name} is `{there}`, and here it is `{wanted}`"
            ))
            .help("give the same options as before, or another file to `--resume`"));
        }
        let turns = known.get(TURNS).and_then(|turns| turns.parse().ok());
        let mut tensors = latents::all(&bytes)?;
        let mut take = |name: &str| {
            let tensor = tensors.remove(name).ok_or_else(no_state)?;
            Ok::<Tensor, RuntimeError>(tensor.to_dtype(DType::F32)?.to_device(device)?)
        };
        let [first, second] = MOMENTS;
        let (first, second, variable) = (take(first)?, take(second)?, take(VARIABLE)?);
        if first.dims() != variable.dims() || second.dims() != variable.dims() {
            return Err(no_state());
        }
        Ok(Self {
            variable,
            adam: Adam {
                rate,
                steps: turns.ok_or_else(no_state)?,
                first,
                second,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(of: &str) -> Facts {
        let all = [("objective", of), ("seed", "3")];
        all.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        latents::numbers(tensor).expect("numbers")
    }

    #[test]
    fn a_state_comes_back_and_only_for_the_same() -> Result<()> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.safetensors");
        let device = Device::Cpu;
        let mut state = State::new(
            Tensor::arange(0f32, 8f32, &device)?.reshape((1, 2, 2, 2))?,
            0.1,
        )?;
        state.step(&state.variable.clone().affine(0.5, -1.0)?)?;
        state.write(&path, &facts("sds"))?;
        let back = State::read(&path, &facts("sds"), 0.1, &device)?;
        assert_eq!(back.turns(), 1);
        for (a, b) in [
            (&state.variable, &back.variable),
            (&state.adam.first, &back.adam.first),
            (&state.adam.second, &back.adam.second),
        ] {
            assert_eq!(a.dims(), b.dims());
            assert_eq!(numbers(a), numbers(b));
        }
        let error = State::read(&path, &facts("csd"), 0.1, &device).expect_err("another objective");
        assert!(
            error
                .message
                .ends_with("its objective is `sds`, and here it is `csd`")
        );
        latents::write(&path, &state.variable)?;
        let error = State::read(&path, &facts("sds"), 0.1, &device).expect_err("latents alone");
        assert_eq!(error.kind, ErrorKind::BadBinding);
        assert!(
            error
                .message
                .ends_with("it holds no state of an optimisation")
        );
        std::fs::write(&path, b"no tensors").expect("a file");
        let error = State::read(&path, &facts("sds"), 0.1, &device).expect_err("no tensors");
        assert_eq!(error.kind, ErrorKind::BadBinding);
        Ok(())
    }
}
