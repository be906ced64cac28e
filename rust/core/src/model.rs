//! Model files: networks, with the tables and filters that go with them.

use std::io::{Cursor, Read, Seek};
use std::sync::Arc;

use safetensors::Dtype;

use crate::network::{self, Loops, QUALITIES, Tensors, base_row};
use crate::postfilter::{CLASSES, DEFAULTS, Filters, TAPS};
use crate::rans::{MAX_LENGTH, Tables};
use crate::{Error, Result};

/// Quality rows that have default filters; others take those of the nearest.
const KNOTS: [usize; 9] = [0, 8, 16, 24, 32, 40, 48, 56, 63];

/// Scale indexes, each with a table.
const SCALES: usize = 64;

/// Elements with a table below this are not coded.
const SKIP: u8 = 2;

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
        Self::read(Cursor::new(bytes), loops)
    }

    /// Reads a model file; errors as of [`Self::new`], and those of the file.
    pub fn read(file: impl Read + Seek, loops: Loops) -> Result<Self> {
        let mut tensors = Tensors::open(file)?;
        let networks = Arc::new(network::Model::read(&mut tensors, loops)?);
        let filters = filters(&mut tensors)?;
        let numbers = table_numbers(&mut tensors, "")?;
        let hyper_numbers = table_numbers(&mut tensors, "hyper_")?;
        tensors.check_all_used("")?;
        let entry = |key| tensors.entry(key).map(String::from);
        let (profile, config, said) = (entry("profile")?, entry("config")?, entry("id")?);
        let card = entry("card").unwrap_or_else(|_| "{}".into());
        // The first bytes of a hash of all that decides what streams decode to.
        let hash = tensors.hash(&[&profile, &config])?;
        let id = std::array::from_fn(|k| hash[k]);
        let found = hexadecimal(&id);
        if said != found {
            return Err(corrupt(format!("it says that it is {said}, but holds {found}")));
        }
        let (tables, hyper_tables) = (tables(numbers, "")?, tables(hyper_numbers, "hyper_")?);
        Ok(Self { networks, id, profile, config, card, tables, hyper_tables, filters })
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

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lengths and frequencies of one kind of tables.
fn table_numbers<R: Read + Seek>(tensors: &mut Tensors<R>, kind: &str) -> Result<[Vec<u16>; 2]> {
    let mut numbers = |what: &str, most: usize| -> Result<Vec<u16>> {
        let name = format!("tables.{kind}{what}");
        let elements: usize = tensors.info(&name)?.shape.iter().product();
        let bytes = tensors.bytes(&name, Dtype::I16, &[elements.min(most)])?;
        let (values, _) = bytes.as_chunks();
        Ok(values.iter().map(|&bytes| u16::from_le_bytes(bytes)).collect())
    };
    Ok([numbers("lengths", SCALES)?, numbers("frequencies", SCALES * MAX_LENGTH)?])
}

fn tables([lengths, frequencies]: [Vec<u16>; 2], kind: &str) -> Result<Tables> {
    if lengths.len() != SCALES {
        let count = lengths.len();
        return Err(corrupt(format!("tables.{kind}lengths: {count} tables, not {SCALES}")));
    }
    let tables = Tables::new(&frequencies, &lengths, SKIP);
    tables.map_err(|error| corrupt(format!("tables.{kind}{error}")))
}

fn filters<R: Read + Seek>(tensors: &mut Tensors<R>) -> Result<Vec<[Filters; DEFAULTS]>> {
    let shape = [KNOTS.len(), DEFAULTS, 3, CLASSES, TAPS];
    let bytes = tensors.bytes("filters", Dtype::I8, &shape)?;
    let sets = bytes.chunks_exact(3 * CLASSES * TAPS).map(|bytes| {
        let mut filters = Filters::default();
        let coefficients = filters.0.as_flattened_mut().as_flattened_mut();
        coefficients.iter_mut().zip(bytes).for_each(|(to, &byte)| *to = byte as i8);
        filters
    });
    let sets: Vec<Filters> = sets.collect();
    let (knots, _) = sets.as_chunks();
    Ok(knots.to_vec())
}

fn corrupt(what: impl std::fmt::Display) -> Error {
    Error::corrupt(0, format!("model file: {what}"))
}
