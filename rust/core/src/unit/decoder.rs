//! A coded unit to pictures.

use std::sync::Arc;

use super::motion::Motion;
use super::syntax::get_motion;
use super::{Geometry, Picture};
use crate::bitstream::CodedUnit;
use crate::model::Model;
use crate::motion::Sample;
use crate::network::{FRAMES, QUALITIES, Session};
use crate::postfilter::{self, Filters};
use crate::rans::Decoder;
use crate::{Error, Result};

/// Decodes the units of one sequence in order.
pub struct UnitDecoder<S> {
    model: Arc<Model>,
    geometry: Geometry,
    session: Session,
    /// The last decoded frame, of the coded size.
    reference: Option<Picture<S>>,
    filters: Filters,
}

impl<S: Sample> UnitDecoder<S> {
    /// # Errors
    /// `InvalidArgument` for a bit depth that is not one of the samples' type.
    pub fn new(model: Arc<Model>, geometry: Geometry) -> Result<Self> {
        let networks = Arc::clone(model.networks());
        let (width, height) = (geometry.coded_width(), geometry.coded_height());
        let session = Session::new(networks, width, height, geometry.bit_depth)?;
        Ok(Self { model, geometry, session, reference: None, filters: Filters::default() })
    }

    /// The shown frames of a unit.
    ///
    /// # Errors
    /// `Corrupt` if the unit is not one of such a sequence; offsets are those in its stream. The
    /// decoder is then as it was before.
    pub fn decode(&mut self, unit: &CodedUnit) -> Result<Vec<Picture<S>>> {
        let (qp, intra, depth) = (usize::from(unit.qp), unit.intra, self.geometry.bit_depth);
        let shown = usize::from(unit.shown);
        let frames = if intra { 1 } else { FRAMES };
        if shown > frames {
            return Err(Error::corrupt(0, format!("{shown} frames in a unit of {frames}")));
        }
        if qp >= QUALITIES {
            return Err(Error::invalid(format!("a qp of {qp}")));
        }
        if intra && unit.motion_step != 0 {
            return Err(Error::corrupt(0, "a motion field in a unit that cannot have one"));
        }
        let reference = self.reference.as_ref().filter(|_| !intra);
        if reference.is_none() && !intra {
            return Err(Error::corrupt(0, "an inter unit before the first intra unit"));
        }

        // What is cheap comes first: of most damaged units no network is run.
        let mut decoder = Decoder::new(&unit.stream[..], unit.log2_lanes)?;
        let motion = match intra {
            true => Motion::still(),
            false => get_motion(&mut decoder, unit.motion_step.into(), &self.geometry)?,
        };
        let z = self.get_hyper_latent(&mut decoder, qp, intra)?;

        let [first, last] = match reference {
            Some(reference) => motion.predict(reference, depth)?,
            None => {
                let grey = Picture::grey(&self.geometry)?;
                [grey.clone(), grey]
            }
        };
        let joined = motion.join(first.clone(), &last, depth)?;
        let known = [joined.planes()?, last.planes()?];
        self.session.begin(qp, intra, &motion.field, &known)?;
        drop(joined);
        let scales = self.session.scales(&z)?;
        let mut y = vec![0; scales.len()];
        decoder.get_slice(self.model.tables(), &scales, &mut y)?;
        drop(scales);
        let before = if intra { &Filters::default() } else { &self.filters };
        let filters = postfilter::decode(&mut decoder, before, self.model.filters(qp, intra))?;
        decoder.finish()?;

        self.session.synthesise(Some(&y))?;
        drop(y);
        let decoded = self.render(1, &last)?;
        drop(last);
        self.filters = filters;
        let mut pictures = Vec::with_capacity(shown);
        if !intra {
            let base = motion.join(first, &decoded, depth)?;
            pictures.push(self.show(&self.render(0, &base)?)?);
        }
        if pictures.len() < shown {
            pictures.push(self.show(&decoded)?);
        }
        self.reference = Some(decoded);
        Ok(pictures)
    }

    /// CRC-32C of the feature after the last unit.
    pub fn digest(&self) -> u32 {
        self.session.digest()
    }

    /// Symbols of z.
    fn get_hyper_latent(
        &self,
        decoder: &mut Decoder<'_>,
        qp: usize,
        intra: bool,
    ) -> Result<Vec<i16>> {
        let positions =
            self.geometry.coded_height().div_ceil(64) * self.geometry.coded_width().div_ceil(64);
        let scales = self.model.networks().hyper_index(qp, intra).repeat(positions);
        let mut z = vec![0; scales.len()];
        decoder.get_slice(self.model.hyper_tables(), &scales, &mut z)?;
        Ok(z)
    }

    /// A decoded frame, as it is referred to.
    fn render(&self, frame: usize, base: &Picture<S>) -> Result<Picture<S>> {
        let (width, height) = base.size(0);
        Picture::new(width, height, self.session.frame(frame, &base.planes()?)?)
    }

    /// A frame as it is shown.
    fn show(&self, frame: &Picture<S>) -> Result<Picture<S>> {
        let (width, height) = frame.size(0);
        let planes = postfilter::apply(frame.planes()?, &self.filters, self.geometry.bit_depth)?;
        let filtered = Picture::new(width, height, planes)?;
        Ok(filtered.cropped(self.geometry.width, self.geometry.height))
    }
}
