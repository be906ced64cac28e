//! Other chroma formats made 4:2:0.

/// How chroma planes are sampled in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chroma {
    /// Half of the rows, half of the columns.
    Half,
    /// 4:2:2, all rows, half of the columns.
    HalfColumns,
    /// 4:4:4.
    Full,
    /// No chroma planes: grey.
    None,
}

impl Chroma {
    /// As y4m and people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Half => "4:2:0",
            Self::HalfColumns => "4:2:2",
            Self::Full => "4:4:4",
            Self::None => "grey",
        }
    }

    /// (height, width) of a chroma plane in the file.
    pub(super) fn plane(self, (height, width): (usize, usize)) -> (usize, usize) {
        match self {
            Self::Half => (height.div_ceil(2), width.div_ceil(2)),
            Self::HalfColumns => (height, width.div_ceil(2)),
            Self::Full => (height, width),
            Self::None => (0, 0),
        }
    }

    /// A chroma plane of the file as one of 4:2:0, for luma of that (height, width).
    ///
    /// Each sample is the mean, rounded half up, of those that it covers; at odd edges the last row
    /// or column counts twice. Grey becomes the middle of the codes.
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
                    Self::Full => (pair(2 * column) + pair(2 * column + 1) + 2) >> 2,
                    _ => (pair(column) + 1) >> 1,
                }));
            }
        }
        halved
    }
}
