//! CRC-32C (Castagnoli), eight bytes at a time: features of many megabytes are hashed, too.

/// The polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const STEP: usize = 8;

/// `TABLES[n][b]` is what byte b does to a checksum when n more bytes follow it in a step.
static TABLES: [[u32; 256]; STEP] = {
    let mut tables = [[0; 256]; STEP];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut n = 1;
    while n < STEP {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[n - 1][byte];
            tables[n][byte] = crc >> 8 ^ tables[0][crc as usize & 0xff];
            byte += 1;
        }
        n += 1;
    }
    tables
};

/// The checksum of `data` after bytes whose checksum is `initial`; 0 for none.
pub fn crc32c(data: &[u8], initial: u32) -> u32 {
    let mut rest = data;
    let mut crc = !initial;
    while let Some((step, after)) = rest.split_first_chunk::<STEP>() {
        let word = u64::from_le_bytes(*step) ^ u64::from(crc);
        crc = (0..STEP)
            .fold(0, |crc, i| crc ^ TABLES[STEP - 1 - i][usize::from((word >> (8 * i)) as u8)]);
        rest = after;
    }
    !rest.iter().fold(crc, |crc, &byte| crc >> 8 ^ TABLES[0][usize::from(crc as u8 ^ byte)])
}
