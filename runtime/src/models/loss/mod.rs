//! Losses on pictures, as `--bind NAME=KIND:VALUE` names them: how far a picture is from what is wanted.
//!
//! Each is half of a mean squared distance, times the places of the latent: as if each place had been measured
//! once, with a deviation of 1. So the pull on a place does not hang on how large the picture is.

mod seen;

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use self::seen::{Style, Text};
use super::gradient;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::image::read_mask;
use crate::weights::Source;

/// The shares of red, green and blue in the luminance (Rec. 709), as masks are read by.
const LUMINANCE: [f64; 3] = [0.2126, 0.7152, 0.0722];
/// A variance below which a picture counts as the same everywhere.
const FLAT: f64 = 1e-6;

/// A loss.
#[derive(Debug)]
pub struct Loss {
    wanted: Wanted,
    /// Pixels of a place of the latent.
    pixels: usize,
}

/// What a picture shall be like.
#[derive(Debug)]
enum Wanted {
    /// Between the picture's mean colour and this one, `[1, 3, 1, 1]`.
    Color(Tensor),
    /// Between the picture's luminance and this mask, `[1, 1, H, W]`, both brought to mean 0 and deviation 1.
    Mask(Tensor),
    /// Between what CLIP makes of the picture and of a text.
    Text(Box<Text>),
    /// Between the styles of the picture and of another one, as a network sees them.
    Style(Box<Style>),
}

/// What a loss is read for.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Height and width of the pictures.
    pub picture: (usize, usize),
    /// Pixels of a latent's place, along a side.
    pub factor: usize,
    /// The network that was bound for it.
    pub network: Option<&'a Source>,
    /// The one that the model brings itself.
    pub own: &'a Source,
    /// Where it computes.
    pub device: &'a Device,
}

impl Loss {
    /// What `KIND:VALUE` names.
    ///
    /// # Errors
    /// `BadBinding` for an unknown kind or a value that is none; `NotBound` for a network that is missing;
    /// `Unreadable` for a file; what loading refuses.
    pub fn read(text: &str, place: &Place<'_>) -> Result<Self> {
        let kind = text.split_once(':');
        if let (Some(network), Some(("color" | "mask", _))) = (place.network, kind) {
            let message = format!(
                "`{text}` asks no network, and `{}` is bound",
                network.show("")
            );
            return Err(bad(message).help("leave out the binding of its `.network`"));
        }
        let wanted = match kind {
            Some(("color", color)) => Wanted::Color(read_color(color)?),
            Some(("mask", file)) => Wanted::Mask(wanted_mask(file, place.picture)?),
            Some(("clip_text", text)) => {
                Wanted::Text(Box::new(Text::read(text, place.network, place.device)?))
            }
            Some(("style", file)) => {
                let network = style_network(place)?;
                let style = Style::read(file, place.picture, network, place.device)?;
                Wanted::Style(Box::new(style))
            }
            _ => {
                return Err(bad(format!("`{text}` is no loss"))
                    .help("write `color:#ff8000`, `mask:FILE`, `clip_text:TEXT` or `style:FILE`"));
            }
        };
        Ok(Self {
            wanted,
            pixels: place.factor * place.factor,
        })
    }

    /// Its value for a picture, `[1, 3, H, W]` in 0..1.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn value(&self, picture: &Tensor) -> Result<f64> {
        Ok(self.of(picture)?.to_scalar()?)
    }

    /// The gradient of its value times `by`, by the picture.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn gradient(&self, picture: &Tensor, by: f64) -> Result<Tensor> {
        let by = Tensor::new(by, picture.device())?;
        gradient::of(&|picture| self.of(picture), picture.clone(), by)
    }

    /// The value, as a tensor without axes, f64.
    fn of(&self, picture: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = picture.dims4()?;
        let places = (height * width) as f64 / self.pixels as f64;
        let distance = match &self.wanted {
            Wanted::Text(text) => text.distance(picture)?.to_dtype(DType::F64)?,
            Wanted::Style(style) => style.distance(picture)?,
            Wanted::Color(color) => {
                let picture = picture.to_dtype(DType::F64)?;
                let mean = picture.mean_keepdim(3)?.mean_keepdim(2)?;
                (mean - color)?.sqr()?.sum_all()?
            }
            Wanted::Mask(mask) => {
                let picture = picture.to_dtype(DType::F64)?;
                let shares = Tensor::new(&LUMINANCE, &Device::Cpu)?.reshape((1, 3, 1, 1))?;
                let luminance = picture.broadcast_mul(&shares)?.sum_keepdim(1)?;
                (level(&luminance)? - mask)?.sqr()?.mean_all()?
            }
        };
        Ok((distance * (places / 2.0))?)
    }
}

/// A mask with mean 0 and deviation 1.
fn wanted_mask(file: &str, (height, width): (usize, usize)) -> Result<Tensor> {
    let mask = read_mask(Path::new(file), height, width)?.to_dtype(DType::F64)?;
    if spread(&mask)?.to_scalar::<f64>()? < FLAT {
        return Err(bad(format!("the mask `{file}` is the same everywhere"))
            .help("give a picture that is light where the result shall be light"));
    }
    level(&mask)
}

/// The network that sees a style: the one that is bound, else the model's own judge of pictures.
fn style_network<'a>(place: &Place<'a>) -> Result<&'a Source> {
    if let Some(network) = place.network {
        return Ok(network);
    }
    if place.own.has("config.json") {
        return Ok(place.own);
    }
    let message = "the loss `style` needs a network that sees pictures";
    Err(RuntimeError::new(ErrorKind::NotBound, message).help(
        "add `--bind NAME.network=DIR`, NAME being the loss and DIR the folder of a ResNet or of CLIP",
    ))
}

/// The variance of a plane's numbers.
fn spread(plane: &Tensor) -> Result<Tensor> {
    let apart = plane.broadcast_sub(&plane.mean_all()?)?;
    Ok(apart.sqr()?.mean_all()?)
}

/// A plane with mean 0 and deviation 1.
fn level(plane: &Tensor) -> Result<Tensor> {
    let apart = plane.broadcast_sub(&plane.mean_all()?)?;
    let deviation = (apart.sqr()?.mean_all()? + FLAT)?.sqrt()?;
    Ok(apart.broadcast_div(&deviation)?)
}

/// `#rrggbb`, as `[1, 3, 1, 1]` in 0..1.
fn read_color(text: &str) -> Result<Tensor> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
    let part = |at: usize| {
        let pair = digits?.get(2 * at..2 * at + 2)?;
        u8::from_str_radix(pair, 16).ok()
    };
    match [part(0), part(1), part(2)] {
        [Some(red), Some(green), Some(blue)] => {
            let parts = [red, green, blue].map(|part| f64::from(part) / 255.0);
            Ok(Tensor::new(&parts, &Device::Cpu)?.reshape((1, 3, 1, 1))?)
        }
        _ => Err(bad(format!("`{text}` is no colour")).help("write it as `color:#ff8000`")),
    }
}

fn bad(message: String) -> RuntimeError {
    RuntimeError::new(ErrorKind::BadBinding, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half of the step of a difference in f64, and what f32 loses of a picture and its gradient.
    const STEP: f64 = 1e-3;
    const ROUNDING: f64 = 1e-3;

    fn picture() -> Tensor {
        let numbers = crate::noise::Generator::new(3).normals(3 * 6 * 8);
        let picture = Tensor::from_vec(numbers, (1, 3, 6, 8), &Device::Cpu).expect("a picture");
        picture.affine(0.2, 0.5).expect("numbers")
    }

    fn losses() -> Vec<Loss> {
        let mask: Vec<f64> = (0..48).map(|i| f64::from(u8::from(i % 8 < 3))).collect();
        let mask = Tensor::from_vec(mask, (1, 1, 6, 8), &Device::Cpu).expect("a mask");
        let wanted = [
            Wanted::Color(read_color("#ff8000").expect("a colour")),
            Wanted::Mask(level(&mask).expect("a mask")),
        ];
        wanted.into_iter().map(loss).collect()
    }

    fn loss(wanted: Wanted) -> Loss {
        Loss { wanted, pixels: 4 }
    }

    #[test]
    fn each_has_the_gradient_that_differences_have() -> Result<()> {
        for loss in losses() {
            let picture = picture();
            let gradient = loss.gradient(&picture, -2.0)?.flatten_all()?;
            let gradient = gradient.to_vec1::<f32>()?;
            let largest = gradient.iter().fold(0f32, |most, by| most.max(by.abs()));
            for at in [0, 17, 40, 99, 143] {
                let moved = |step: f64| {
                    let mut one = vec![0f32; gradient.len()];
                    one[at] = step as f32;
                    let one = Tensor::from_vec(one, picture.dims(), &Device::Cpu)?;
                    loss.value(&(&picture + one)?)
                };
                let slope = -2.0 * (moved(STEP)? - moved(-STEP)?) / (2.0 * STEP);
                let off = (slope - f64::from(gradient[at])).abs();
                assert!(
                    off < ROUNDING * f64::from(largest),
                    "{loss:?}: {slope}, not {}",
                    gradient[at]
                );
            }
        }
        Ok(())
    }

    #[test]
    fn what_is_wanted_has_no_loss() -> Result<()> {
        let color = read_color("#ff8000")?.to_dtype(DType::F32)?;
        let orange = color.broadcast_as((1, 3, 4, 4))?.contiguous()?;
        let found = loss(Wanted::Color(read_color("#ff8000")?)).value(&orange)?;
        assert!(found.abs() < 1e-12, "{found}");
        let mask = Tensor::new(&[0f64, 0.5, 1.0, 0.5], &Device::Cpu)?.reshape((1, 1, 2, 2))?;
        let picture = mask.broadcast_as((1, 3, 2, 2))?.affine(0.5, 0.25)?;
        let loss = loss(Wanted::Mask(level(&mask)?));
        assert!(loss.value(&picture)?.abs() < 1e-4);
        // One place, and the opposite is as far as can be: everywhere twice as far as the mask is from its mean.
        let opposite = loss.value(&picture.affine(-1.0, 1.0)?)?;
        assert!((opposite - 2.0).abs() < 1e-3, "{opposite}");
        Ok(())
    }

    #[test]
    fn colours_are_six_digits() {
        for text in ["ff8000", "#ff80", "#ff80zz", "#ff80001", "orange", "#é8000"] {
            let error = read_color(text).expect_err("no colour");
            assert_eq!(error.kind, ErrorKind::BadBinding, "{text}");
        }
    }
}
