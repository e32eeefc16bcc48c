//! What SDXL is told about the picture besides its text.

/// The six numbers about a picture that SDXL's UNet is told: the size of the original that a training
/// picture was made from, where it was cut out, and the size that is wanted (Podell et al. 2023,
/// arXiv 2307.01952, section 2.2). In pixels; height before width, top before left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// Height and width of the original.
    pub original: (usize, usize),
    /// Top and left of the cut.
    pub crop: (usize, usize),
    /// Height and width that are wanted.
    pub target: (usize, usize),
}

impl Framing {
    /// A whole picture of this height and width.
    pub fn whole(size: (usize, usize)) -> Self {
        Self {
            original: size,
            crop: (0, 0),
            target: size,
        }
    }

    /// The numbers in the order that the network takes them.
    pub fn numbers(&self) -> [f64; super::config::PICTURE_NUMBERS] {
        let Self {
            original,
            crop,
            target,
        } = self;
        [original.0, original.1, crop.0, crop.1, target.0, target.1].map(|pixels| pixels as f64)
    }
}
