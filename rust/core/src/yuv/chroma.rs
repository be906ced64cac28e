//! Other chroma formats made 4:2:0.

/// How chroma planes are sampled in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chroma {
    /// Half of the rows, half of the columns.
    Half,
    /// 4:2:2, all rows, half of the columns.
    HalfColumns,
    /// 4:1:1, all rows, a quarter of the columns.
    QuarterColumns,
    /// 4:4:4.
    Full,
    /// 4:4:4, and a plane of opacity after it, which is not read.
    FullAlpha,
    /// No chroma planes: grey.
    None,
}

impl Chroma {
    /// As y4m and people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Half => "4:2:0",
            Self::HalfColumns => "4:2:2",
            Self::QuarterColumns => "4:1:1",
            Self::Full => "4:4:4",
            Self::FullAlpha => "4:4:4 with alpha",
            Self::None => "grey",
        }
    }

    /// (height, width) of a chroma plane in the file.
    pub(super) fn plane(self, (height, width): (usize, usize)) -> (usize, usize) {
        match self {
            Self::Half => (height.div_ceil(2), width.div_ceil(2)),
            Self::HalfColumns => (height, width.div_ceil(2)),
            Self::QuarterColumns => (height, width.div_ceil(4)),
            Self::Full | Self::FullAlpha => (height, width),
            Self::None => (0, 0),
        }
    }

    /// Samples of a picture that stand after its chroma.
    pub(super) fn alpha(self, (height, width): (usize, usize)) -> usize {
        if self == Self::FullAlpha { height * width } else { 0 }
    }

    /// A chroma plane of the file as one of 4:2:0, for luma of that (height, width).
    ///
    /// Each sample is the mean, rounded half up, of those that it covers; at odd edges the last row
    /// or column counts twice. A sample of 4:1:1 is as wide as two: both are interpolated, three
    /// parts of it and one of its neighbour on that side. Grey becomes the middle of the codes.
    pub(super) fn halve<T>(self, plane: Vec<T>, luma: (usize, usize), bit_depth: u8) -> Vec<T>
    where
        T: Copy + Into<u32> + TryFrom<u32>,
    {
        let (height, width) = Self::Half.plane(luma);
        // A mean of samples, and the middle of the codes, is a sample.
        let sample = |value: u32| T::try_from(value).unwrap_or_else(|_| unreachable!());
        if self == Self::Half {
            return plane;
        }
        if self == Self::None {
            return vec![sample(1 << (bit_depth - 1)); height * width];
        }
        let (rows, columns) = self.plane(luma);
        let at = |row: usize, column: usize| -> u32 {
            plane[row.min(rows - 1) * columns + column.min(columns - 1)].into()
        };
        let mut halved = Vec::with_capacity(height * width);
        for row in 0..height {
            for column in 0..width {
                let pair = |column| at(2 * row, column) + at(2 * row + 1, column);
                halved.push(sample(match self {
                    Self::Full | Self::FullAlpha => {
                        (pair(2 * column) + pair(2 * column + 1) + 2) >> 2
                    }
                    Self::QuarterColumns => {
                        let wide = column / 2;
                        let next = if column % 2 == 0 { wide.saturating_sub(1) } else { wide + 1 };
                        (3 * pair(wide) + pair(next) + 4) >> 3
                    }
                    _ => (pair(column) + 1) >> 1,
                }));
            }
        }
        halved
    }
}
