//! The way of a picture's latents to noise, as `guidec invert` finds it.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Tensor};

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::latents;
use crate::recording::File;
use crate::run::{Observer, Progress};

/// The metadata's `format`.
pub const FORMAT: &str = "guide-trajectory/1";

/// The name of the latents on the way.
const POINTS: &str = "trajectory";

/// Latents on the way of a run: where each of its steps begins, and where the last one leads.
#[derive(Clone, Debug)]
pub struct Trajectory {
    /// `[steps + 1, C, H, W]`, f32, from noise to the picture.
    points: Tensor,
}

/// Collects a trajectory while an inversion runs, one sample.
#[derive(Debug, Default)]
pub struct Collect(Vec<Tensor>);

impl Observer for Collect {
    fn tick(&mut self, progress: &Progress<'_>) -> Result<()> {
        if self.0.is_empty() {
            self.0.push(progress.before.get(0)?);
        }
        self.0.push(progress.after.get(0)?);
        Ok(())
    }
}

impl Collect {
    /// What was collected, the other way round.
    ///
    /// # Errors
    /// Nothing was collected; the device fails.
    pub fn finish(mut self) -> Result<Trajectory> {
        if self.0.len() < 2 {
            let message = "an inversion without steps has no way";
            return Err(RuntimeError::new(ErrorKind::BadBinding, message));
        }
        self.0.reverse();
        Ok(Trajectory {
            points: Tensor::stack(&self.0, 0)?.to_dtype(DType::F32)?,
        })
    }
}

impl Trajectory {
    /// How many steps a run along it has.
    pub fn steps(&self) -> usize {
        self.points.dims().first().map_or(0, |points| points - 1)
    }

    /// All latents, `[steps + 1, C, H, W]`, from noise to the picture.
    pub fn points(&self) -> &Tensor {
        &self.points
    }

    /// The noise that a run begins with, `[1, C, H, W]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn noise(&self) -> Result<Tensor> {
        Ok(self.points.narrow(0, 0, 1)?)
    }

    /// The picture's latents, `[1, C, H, W]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn clean(&self) -> Result<Tensor> {
        Ok(self.points.narrow(0, self.steps(), 1)?)
    }

    /// Writes it, with the noise beside it as `latents`, so that `--init-latents` takes the file too.
    ///
    /// # Errors
    /// A place that cannot be written to.
    pub fn write(&self, path: &Path, about: &[(&str, String)]) -> Result<()> {
        let mut file = File::default();
        let noise = self.noise()?;
        file.floats(latents::NAME, noise.dims(), latents::numbers(&noise)?);
        let points = latents::numbers(&self.points)?;
        file.floats(POINTS, self.points.dims(), points);
        let mut metadata: HashMap<String, String> = about
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        metadata.insert("format".to_owned(), FORMAT.to_owned());
        file.save(path, metadata)
    }

    /// Reads what [`Trajectory::write`] wrote.
    ///
    /// # Errors
    /// A file that cannot be read, or that holds no trajectory.
    pub fn read(path: &Path) -> Result<Self> {
        let points = latents::read(path, POINTS).map_err(|error| {
            error.help("make one with `guidec invert PICTURE --out FILE.safetensors`")
        })?;
        match points.dims() {
            [steps, _, _, _] if *steps >= 2 => Ok(Self { points }),
            shape => {
                let message = format!("`{}` holds a trajectory of shape {shape:?}", path.display());
                Err(RuntimeError::new(ErrorKind::BadBinding, message)
                    .help("its axes are points, channels, height and width; of points there are two or more"))
            }
        }
    }
}
