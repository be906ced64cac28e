//! Byte shuffles for each mask of eight elements.

/// What `pshufb` turns into a zero byte.
const NONE: u8 = 0x80;

const fn is_set(mask: usize, bit: usize) -> bool {
    mask >> bit & 1 == 1
}

/// Words at the set bits to the front, in order.
pub(super) static GATHER: [[u8; 16]; 256] = {
    let mut table = [[NONE; 16]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut bit, mut found) = (0, 0);
        while bit < 8 {
            if is_set(mask, bit) {
                table[mask][2 * found] = 2 * bit as u8;
                table[mask][2 * found + 1] = 2 * bit as u8 + 1;
                found += 1;
            }
            bit += 1;
        }
        mask += 1;
    }
    table
};

/// Words at the set bits to the front, the last one first.
pub(super) static GATHER_REVERSED: [[u8; 16]; 256] = {
    let mut table = [[NONE; 16]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut bit, mut found) = (8, 0);
        while bit > 0 {
            bit -= 1;
            if is_set(mask, bit) {
                table[mask][2 * found] = 2 * bit as u8;
                table[mask][2 * found + 1] = 2 * bit as u8 + 1;
                found += 1;
            }
        }
        mask += 1;
    }
    table
};

/// Words from the front to the set bits, in order.
pub(super) static SCATTER: [[u8; 16]; 256] = {
    let mut table = [[NONE; 16]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut bit, mut found) = (0, 0);
        while bit < 8 {
            if is_set(mask, bit) {
                table[mask][2 * bit] = 2 * found;
                table[mask][2 * bit + 1] = 2 * found + 1;
                found += 1;
            }
            bit += 1;
        }
        mask += 1;
    }
    table
};

/// Bytes at the set bits to the front, in order.
pub(super) static GATHER_BYTES: [[u8; 8]; 256] = {
    let mut table = [[NONE; 8]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut bit, mut found) = (0, 0);
        while bit < 8 {
            if is_set(mask, bit) {
                table[mask][found] = bit as u8;
                found += 1;
            }
            bit += 1;
        }
        mask += 1;
    }
    table
};
