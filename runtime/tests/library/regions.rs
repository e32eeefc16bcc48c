//! The rule that guides each region of the picture by a scale of its own.

use crate::algebra::{mean, minus};
use crate::case::{Made, Memory, Needs, Now};

pub const REGIONS: Needs = Needs {
    labels: &["cond", "uncond"],
    judges: &[],
    weights: &[],
    sights: &["regions/cond/all"],
};

/// Each region's scale by how far apart the predictions lie in it, against the whole picture.
pub fn semantic(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, u) = (now.native("cond"), now.native("uncond"));
    let d = minus(&c, &u);
    let [count, height, width] = now.shape;
    let area = height * width;
    let at = |place: usize| (0..count).map(move |channel| channel * area + place);
    let apart: Vec<f64> = (0..area)
        .map(|place| at(place).map(|i| d[i] * d[i]).sum::<f64>().sqrt())
        .collect();
    let regions = now.sight(REGIONS.sights[0]);
    let (least, most) = (now.num("least", 0.8), now.num("most", 3.0));
    let scale = now.num("scale", 7.5);
    let mut made = c.clone();
    for place in 0..area {
        let alike = (0..area).filter(|other| regions[*other] == regions[place]);
        let near: Vec<f64> = alike.map(|other| apart[other]).collect();
        let rate = (mean(&apart) / mean(&near)).clamp(least, most);
        for i in at(place) {
            made[i] += (scale * rate - 1.0) * d[i];
        }
    }
    Made::new(made, 2)
}
