//! Pictures with samples of their own.

use super::Geometry;
use crate::Result;
use crate::motion::{Plane, Sample};

/// A 4:2:0 picture: Y, U and V, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture<S> {
    width: usize,
    height: usize,
    planes: [Vec<S>; 3],
}

impl<S: Sample> Picture<S> {
    /// Of so many luma samples; chroma has half as many each way, rounded up.
    ///
    /// # Errors
    /// `InvalidArgument` for planes of another size.
    pub fn new(width: usize, height: usize, planes: [Vec<S>; 3]) -> Result<Self> {
        let picture = Self { width, height, planes };
        for (k, plane) in picture.planes.iter().enumerate() {
            let (width, height) = picture.size(k);
            Plane::new(width, height, plane)?;
        }
        Ok(picture)
    }

    /// The blank picture of the coded size.
    pub(super) fn grey(geometry: &Geometry) -> Result<Self> {
        let (width, height) = (geometry.coded_width(), geometry.coded_height());
        let middle = S::from_i32(1 << (geometry.bit_depth - 1));
        let plane = |samples| vec![middle; samples];
        let chroma = width * height / 4;
        Self::new(width, height, [plane(width * height), plane(chroma), plane(chroma)])
    }

    /// Columns and rows of a plane, Y, U or V.
    pub fn size(&self, plane: usize) -> (usize, usize) {
        let scale = if plane == 0 { 1 } else { 2 };
        (self.width.div_ceil(scale), self.height.div_ceil(scale))
    }

    /// As planes.
    ///
    /// # Errors
    /// None, as sizes were checked.
    pub fn planes(&self) -> Result<[Plane<'_, S>; 3]> {
        let plane = |k: usize| {
            let (width, height) = self.size(k);
            Plane::new(width, height, &self.planes[k])
        };
        Ok([plane(0)?, plane(1)?, plane(2)?])
    }

    /// The samples of Y, U and V.
    pub fn into_samples(self) -> [Vec<S>; 3] {
        self.planes
    }

    /// The upper left part, as it is shown.
    pub(super) fn cropped(self, width: usize, height: usize) -> Self {
        if (width, height) == (self.width, self.height) {
            return self;
        }
        let mut cropped = Self { width, height, planes: Default::default() };
        for (k, samples) in self.planes.iter().enumerate() {
            let (columns, rows) = cropped.size(k);
            let lines = samples.chunks_exact(self.size(k).0).take(rows);
            cropped.planes[k] = lines.flat_map(|line| &line[..columns]).copied().collect();
        }
        cropped
    }
}

/// A picture of either kind of sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Samples {
    /// At 8 bits.
    Bytes(Picture<u8>),
    /// At 9 to 16 bits.
    Words(Picture<u16>),
}

impl From<Picture<u8>> for Samples {
    fn from(picture: Picture<u8>) -> Self {
        Self::Bytes(picture)
    }
}

impl From<Picture<u16>> for Samples {
    fn from(picture: Picture<u16>) -> Self {
        Self::Words(picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn the_shown_part_is_the_upper_left_one() -> Result<()> {
        let samples = |n: u8| (0..n).collect::<Vec<u8>>();
        let picture = Picture::new(4, 4, [samples(16), samples(4), samples(4)])?;
        let shown = picture.cropped(3, 1);
        assert_eq!(shown.size(1), (2, 1));
        assert_eq!(shown.into_samples(), [vec![0, 1, 2], vec![0, 1], vec![0, 1]]);
        let error = Picture::new(4, 4, [samples(16), samples(4), samples(3)]);
        assert!(matches!(error, Err(Error::InvalidArgument { .. })));
        Ok(())
    }
}
