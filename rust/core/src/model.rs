//! Model files: networks, with the tables and filters that go with them.

use std::sync::Arc;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use crate::network::{self, Loops, QUALITIES, base_row};
use crate::postfilter::{CLASSES, DEFAULTS, Filters, TAPS};
use crate::rans::Tables;
use crate::{Error, Result};

/// Quality rows that have default filters; others take those of the nearest.
const KNOTS: [usize; 9] = [0, 8, 16, 24, 32, 40, 48, 56, 63];

/// Scale indexes, each with a table.
const SCALES: usize = 64;

/// Elements with a table below this are not coded.
const SKIP: u8 = 2;

/// Tensors beside those of the networks.
const OWN: [&str; 6] = [
    "filters",
    "tables.frequencies",
    "tables.hyper_frequencies",
    "tables.hyper_index",
    "tables.hyper_lengths",
    "tables.lengths",
];

/// What a stream needs beside its own bytes.
pub struct Model {
    networks: Arc<network::Model>,
    id: [u8; 8],
    profile: String,
    config: String,
    card: String,
    tables: Tables,
    hyper_tables: Tables,
    filters: Vec<[Filters; DEFAULTS]>,
}

impl Model {
    /// Reads the bytes of a model file, for the fastest kernels or certain ones.
    ///
    /// # Errors
    /// `Corrupt` for what is no model, whole and in range, `Unsupported` for another format
    /// version, numeric profile or kind of network.
    pub fn new(bytes: &[u8], loops: Loops) -> Result<Self> {
        let networks = Arc::new(network::Model::new(bytes, loops)?);
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(corrupt)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(corrupt)?;
        let entry = |key: &str| {
            let entry = header.metadata().as_ref().and_then(|metadata| metadata.get(key));
            entry.cloned().ok_or_else(|| corrupt(format!("no {key}")))
        };
        let (profile, config) = (entry("profile")?, entry("config")?);
        let id = identity(&profile, &config, &tensors);
        let (said, found) = (entry("id")?, hexadecimal(&id));
        if said != found {
            return Err(corrupt(format!("it says that it is {said}, but holds {found}")));
        }
        let names = tensors.names();
        let mut others = names.into_iter().filter(|name| !name.starts_with("codec."));
        if let Some(name) = others.find(|name| !OWN.contains(name)) {
            return Err(corrupt(format!("{name} is not part of it")));
        }
        Ok(Self {
            networks,
            id,
            profile,
            config,
            card: entry("card").unwrap_or_else(|_| "{}".into()),
            tables: tables(&tensors, "")?,
            hyper_tables: tables(&tensors, "hyper_")?,
            filters: filters(&tensors)?,
        })
    }

    pub fn networks(&self) -> &Arc<network::Model> {
        &self.networks
    }

    /// What streams name it by.
    pub fn id(&self) -> [u8; 8] {
        self.id
    }

    /// How its networks are computed.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// Sizes of its networks, as JSON.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// What is said of it to people, as JSON.
    pub fn card(&self) -> &str {
        &self.card
    }

    /// Of the symbols of y.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Of the symbols of z.
    pub fn hyper_tables(&self) -> &Tables {
        &self.hyper_tables
    }

    /// Default filters of a unit, whose qp is below [`QUALITIES`].
    pub fn filters(&self, qp: usize, intra: bool) -> &[Filters; DEFAULTS] {
        let row = base_row(qp.min(QUALITIES - 1), intra);
        let nearest = (0..KNOTS.len()).min_by_key(|&k| KNOTS[k].abs_diff(row)).unwrap_or(0);
        &self.filters[nearest]
    }

    /// All default filters, by knot.
    pub fn all_filters(&self) -> &[[Filters; DEFAULTS]] {
        &self.filters
    }
}

/// The first bytes of a hash of all that decides what streams decode to.
fn identity(profile: &str, config: &str, tensors: &SafeTensors) -> [u8; 8] {
    let mut hash = Sha256::new().chain_update(profile).chain_update(config);
    let mut all = tensors.tensors();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, tensor) in &all {
        hash.update(name);
        hash.update(tensor.data());
    }
    std::array::from_fn({
        let hash = hash.finalize();
        move |k| hash[k]
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tables(tensors: &SafeTensors, kind: &str) -> Result<Tables> {
    let numbers = |what: &str| -> Result<Vec<u16>> {
        let name = format!("tables.{kind}{what}");
        let tensor = tensor(tensors, &name, Dtype::I16)?;
        let (values, _) = tensor.data().as_chunks();
        Ok(values.iter().map(|&bytes| u16::from_le_bytes(bytes)).collect())
    };
    let lengths = numbers("lengths")?;
    if lengths.len() != SCALES {
        return Err(corrupt(format!("{} tables, not {SCALES}", lengths.len())));
    }
    Tables::new(&numbers("frequencies")?, &lengths, SKIP).map_err(corrupt)
}

fn filters(tensors: &SafeTensors) -> Result<Vec<[Filters; DEFAULTS]>> {
    let tensor = tensor(tensors, "filters", Dtype::I8)?;
    let shape = [KNOTS.len(), DEFAULTS, 3, CLASSES, TAPS];
    if tensor.shape() != shape {
        return Err(corrupt(format!("filters must be {shape:?}, not {:?}", tensor.shape())));
    }
    let sets = tensor.data().chunks_exact(3 * CLASSES * TAPS).map(|bytes| {
        let mut filters = Filters::default();
        let coefficients = filters.0.as_flattened_mut().as_flattened_mut();
        coefficients.iter_mut().zip(bytes).for_each(|(to, &byte)| *to = byte as i8);
        filters
    });
    let sets: Vec<Filters> = sets.collect();
    let (knots, _) = sets.as_chunks();
    Ok(knots.to_vec())
}

fn tensor<'a>(tensors: &SafeTensors<'a>, name: &str, dtype: Dtype) -> Result<TensorView<'a>> {
    let tensor = tensors.tensor(name).map_err(|_| corrupt(format!("no {name}")))?;
    if tensor.dtype() != dtype {
        return Err(corrupt(format!("{name} must be {dtype:?}, not {:?}", tensor.dtype())));
    }
    Ok(tensor)
}

fn corrupt(what: impl std::fmt::Display) -> Error {
    Error::corrupt(0, format!("model file: {what}"))
}
