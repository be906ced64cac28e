//! The tensors of a model file, read one by one, each only once its shape is known to be right.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Seek, SeekFrom};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use sha2::{Digest, Sha256};

use super::config::corrupt;
use crate::{Error, Result};

/// Bytes of the names and shapes in a model file.
const LARGEST_HEADER: u64 = 1 << 24;

/// Bytes that tell the size of the header.
const HEADER_SIZE: u64 = 8;

/// Bytes that are hashed at once.
const PIECE: usize = 1 << 16;

/// A model file whose names, types, shapes and sizes have been read.
///
/// Nothing is allocated for more than the caller expects, however large the file says it is.
pub struct Tensors<R> {
    file: R,
    header: Metadata,
    /// Where the tensors begin.
    start: u64,
    used: HashSet<String>,
}

impl<R: Read + Seek> Tensors<R> {
    /// # Errors
    /// `Corrupt` for what is no safetensors file, or one of another length than it says.
    pub fn open(mut file: R) -> Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let mut size = [0; HEADER_SIZE as usize];
        file.read_exact(&mut size).map_err(short)?;
        let size = u64::from_le_bytes(size);
        if size > LARGEST_HEADER.min(length) {
            return Err(corrupt(format!("a header of {size} bytes")));
        }
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header).map_err(short)?;
        let header: Metadata = serde_json::from_slice(&header).map_err(corrupt)?;
        let start = HEADER_SIZE + size;
        let end = start.saturating_add(header.data_len() as u64);
        if end != length {
            return Err(corrupt(format!("{length} bytes, not {end}")));
        }
        Ok(Self { file, header, start, used: HashSet::new() })
    }

    /// What the header says under a key.
    pub fn entry(&self, key: &str) -> Result<&str> {
        let entry = self.header.metadata().as_ref().and_then(|metadata| metadata.get(key));
        entry.map(String::as_str).ok_or_else(|| corrupt(format!("no {key}")))
    }

    pub fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.header.info(name).ok_or_else(|| corrupt(format!("no {name}")))
    }

    /// The bytes of a tensor of that type and shape.
    pub fn bytes(&mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<Vec<u8>> {
        let found = self.info(name)?;
        if found.dtype != dtype || found.shape != shape {
            let (d, s) = (found.dtype, &found.shape);
            return Err(corrupt(format!("{name} must be {dtype:?} {shape:?}, not {d:?} {s:?}")));
        }
        let (from, to) = found.data_offsets;
        self.file.seek(SeekFrom::Start(self.start + from as u64))?;
        let mut bytes = vec![0; to - from];
        self.file.read_exact(&mut bytes).map_err(short)?;
        self.used.insert(name.into());
        Ok(bytes)
    }

    /// # Errors
    /// `Corrupt` that names a tensor which begins with `prefix` and was not asked for.
    pub fn check_all_used(&self, prefix: &str) -> Result<()> {
        let names = self.header.offset_keys();
        match names.iter().find(|name| name.starts_with(prefix) && !self.used.contains(*name)) {
            Some(name) => Err(corrupt(format!("{name} is not part of such a model"))),
            None => Ok(()),
        }
    }

    /// SHA-256 of these texts, and then of each tensor's name and bytes, by name.
    pub fn hash(&mut self, texts: &[&str]) -> Result<[u8; 32]> {
        let mut hash = Sha256::new();
        texts.iter().for_each(|text| hash.update(text));
        let mut names = self.header.offset_keys();
        names.sort();
        let mut piece = vec![0; PIECE];
        for name in names {
            let (from, to) = self.info(&name)?.data_offsets;
            hash.update(&name);
            self.file.seek(SeekFrom::Start(self.start + from as u64))?;
            let mut left = to - from;
            while left > 0 {
                let piece = &mut piece[..left.min(PIECE)];
                self.file.read_exact(piece).map_err(short)?;
                hash.update(&*piece);
                left -= piece.len();
            }
        }
        Ok(hash.finalize().into())
    }
}

fn short(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => corrupt("it ends early"),
        _ => error.into(),
    }
}
