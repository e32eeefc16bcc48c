//! What is measured of pictures.

use std::error::Error;

use guide_compiler::plan::Shown;
use guide_runtime::device::{DType, Tensor};
use guide_runtime::image::Picture;
use guide_runtime::latents;
use guide_runtime::measures;
use guide_runtime::models::judge::{Judge, Sight};

/// What the model computes with.
pub const F32: DType = DType::F32;

/// The head of the table.
pub const HEAD: &str = "\
| rule | class | diversity | mean | saturation | sharpness | evaluations |
| --- | --- | --- | --- | --- | --- | --- |
";

/// The means of things' latents in the training data, by name.
pub fn data(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, Box<dyn Error>> {
    let mut all: Vec<(String, Tensor)> = latents::all(bytes)?.into_iter().collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

/// The pictures of one thing, one for each seed.
pub struct Made<'a> {
    /// `[seeds, 4, 16, 16]`
    pub latents: &'a Tensor,
    /// Decoded, as a tensor `[1, 3, 64, 64]` in 0..1 and as a picture.
    pub pictures: &'a [(Tensor, Picture)],
    /// The mean of the thing's latents in the data.
    pub data: &'a Tensor,
    pub judge: &'a Judge,
    /// What they are to show, where they are to show something.
    pub class: Option<usize>,
    pub evaluations: f64,
}

/// Sums over things.
#[derive(Default)]
pub struct Measures {
    things: f64,
    pictures: f64,
    right: f64,
    diversity: f64,
    distance: f64,
    saturation: f64,
    sharpness: f64,
    evaluations: f64,
}

impl Measures {
    /// Adds what was made of a thing.
    pub fn add(&mut self, made: &Made<'_>) -> Result<(), Box<dyn Error>> {
        self.things += 1.0;
        self.evaluations += made.evaluations;
        for (tensor, picture) in made.pictures {
            self.pictures += 1.0;
            let of_picture = measures::Measures::of(picture);
            self.saturation += of_picture.saturation;
            self.sharpness += of_picture.sharpness;
            if let Some(class) = made.class {
                let showing = made.judge.config().shown(Shown::default());
                let logits = made.judge.logits(Sight::Picture(tensor), 0.0, &showing)?;
                self.right += f64::from(u8::from(largest(&logits) == Some(class)));
            }
        }
        let pictures: Vec<&Picture> = made.pictures.iter().map(|(_, picture)| picture).collect();
        self.diversity += measures::diversity(&pictures);
        self.distance += distance(made.latents, made.data)?;
        Ok(())
    }

    /// As a line of the table.
    pub fn line(&self, label: &str, prompted: bool) -> String {
        let by = |sum: f64, count: f64| sum / count.max(1.0);
        let class = match prompted {
            true => format!("{:.1} %", 100.0 * by(self.right, self.pictures)),
            false => String::new(),
        };
        let mean = match prompted {
            true => format!("{:.3}", by(self.distance, self.things)),
            false => String::new(),
        };
        format!(
            "| {label} | {class} | {:.2} | {mean} | {:.3} | {:.2} | {:.1} |",
            by(self.diversity, self.things),
            by(self.saturation, self.pictures),
            by(self.sharpness, self.pictures),
            by(self.evaluations, self.things)
        )
    }
}

fn largest(logits: &[f64]) -> Option<usize> {
    let places = logits.iter().enumerate();
    places.max_by(|a, b| a.1.total_cmp(b.1)).map(|(at, _)| at)
}

/// How far the mean of the latents lies from the data's, as a share of the data's norm.
fn distance(made: &Tensor, data: &Tensor) -> Result<f64, Box<dyn Error>> {
    let mean = made.mean(0)?;
    let norm = |tensor: &Tensor| -> Result<f64, Box<dyn Error>> {
        let squares = tensor.to_dtype(DType::F64)?.sqr()?.sum_all()?;
        Ok(squares.to_scalar::<f64>()?.sqrt())
    };
    Ok(norm(&(mean - data)?)? / norm(data)?)
}
