//! Reading a request (RFC 1035 §4.1). Packets are never exceptional: what cannot be answered is an `Unanswerable`, what can only be answered
//! with an error carries a `Fault` beside everything that was read before it, so that the reply can echo as much as possible.

use crate::edns::Edns;
use crate::header::{HEADER_LENGTH, Header};
use crate::name::{Name, skip_compressed};
use crate::reader::{Malformed, Reader};
use crate::rtype;
use crate::tsig::Tsig;

/// Nothing may be sent back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unanswerable {
    /// Fewer octets than a header.
    Short,
    /// QR is set: answering responses makes two servers talk for ever (RFC 1034 §7.1 and common sense).
    Response,
}

/// Why a request gets FORMERR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// QDCOUNT is not one (RFC 9619 §4), or none without a cookie to ask for (RFC 7873 §5.4).
    Questions,
    /// The question is cut short or its name malformed.
    Question,
    /// A record after the question is cut short or malformed, or the counts lie.
    Record,
    /// More than one OPT, one outside the additional section, or one with an owner name (RFC 6891 §6.1.1).
    MisplacedOpt,
    /// An EDNS option that we know is malformed.
    Option,
    /// A TSIG that is malformed or not the last record (RFC 8945 §5.1).
    Tsig,
}

/// The question of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    pub qname: Name<'a>,
    pub qtype: u16,
    pub qclass: u16,
}

/// A request as far as it could be read.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub header: Header,
    pub question: Option<Question<'a>>,
    pub edns: Option<Edns<'a>>,
    pub tsig: Option<Tsig<'a>>,
    pub fault: Option<Fault>,
}

impl<'a> Request<'a> {
    /// Reads a message. Octets after the last counted record are ignored, as the peers do.
    ///
    /// # Errors
    /// When no reply may be sent.
    pub fn read(message: &'a [u8]) -> Result<Self, Unanswerable> {
        let mut request = Self::empty();
        request.read_in_place(message)?;
        Ok(request)
    }

    /// What `read_in_place` fills.
    pub const fn empty() -> Self {
        Self { header: Header::EMPTY, question: None, edns: None, tsig: None, fault: None }
    }

    /// The same as `read` on a value that is `empty`: requests are large enough for a move to be seen in a profile.
    ///
    /// # Errors
    /// When no reply may be sent.
    pub fn read_in_place(&mut self, message: &'a [u8]) -> Result<(), Unanswerable> {
        debug_assert!(self.question.is_none() && self.edns.is_none() && self.tsig.is_none(), "a request is read once");
        let mut reader = Reader::new(message);
        self.header = Header::read(&mut reader).map_err(|Malformed| Unanswerable::Short)?;
        if self.header.is_response() {
            return Err(Unanswerable::Response);
        }
        self.fault = self.read_sections(&mut reader).err();
        Ok(())
    }

    /// Octets of header and question as they stand in the request: what a reply begins with.
    pub fn question_end(&self) -> usize {
        self.question.map_or(HEADER_LENGTH, |question| HEADER_LENGTH.saturating_add(question.qname.wire().len()).saturating_add(4))
    }

    fn read_sections(&mut self, reader: &mut Reader<'a>) -> Result<(), Fault> {
        match self.header.questions {
            0 => {}
            1 => self.question = Some(Question::read(reader).map_err(|Malformed| Fault::Question)?),
            _ => return Err(Fault::Questions),
        }
        for _ in 0..u32::from(self.header.answers).saturating_add(u32::from(self.header.authorities)) {
            skip_record(reader)?;
        }
        for left in (0..self.header.additionals).rev() {
            self.read_additional(reader, left == 0)?;
        }
        match (&self.question, &self.edns) {
            (None, Some(Edns { cookie: Some(_), .. })) | (Some(_), _) => Ok(()),
            (None, _) => Err(Fault::Questions),
        }
    }

    fn read_additional(&mut self, reader: &mut Reader<'a>, is_last: bool) -> Result<(), Fault> {
        let mut owner = *reader;
        let record = Record::read(reader).map_err(|Malformed| Fault::Record)?;
        match record.rtype {
            rtype::OPT => self.read_opt(owner.u8() == Ok(0), &record),
            rtype::TSIG if is_last && record.class == rtype::CLASS_ANY && record.ttl == 0 => self.read_tsig(&owner, &record),
            rtype::TSIG => Err(Fault::Tsig),
            _ => Ok(()),
        }
    }

    fn read_opt(&mut self, owner_is_root: bool, record: &Record<'a>) -> Result<(), Fault> {
        if self.edns.is_some() || !owner_is_root {
            return Err(Fault::MisplacedOpt);
        }
        let (edns, read) = Edns::read(record.class, record.ttl, record.rdata);
        self.edns = Some(edns);
        read.map_err(|Malformed| Fault::Option)
    }

    fn read_tsig(&mut self, owner: &Reader<'a>, record: &Record<'a>) -> Result<(), Fault> {
        let start = record.end.saturating_sub(record.rdata.len());
        let tsig = Tsig::read(owner.message(), owner.position(), start, record.end).map_err(|Malformed| Fault::Tsig)?;
        self.tsig = Some(tsig);
        Ok(())
    }
}

impl<'a> Question<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let qname = Name::read(reader)?;
        let [t0, t1, c0, c1] = reader.array()?;
        Ok(Self { qname, qtype: u16::from_be_bytes([t0, t1]), qclass: u16::from_be_bytes([c0, c1]) })
    }
}

/// A record of which only the fixed fields matter.
struct Record<'a> {
    rtype: u16,
    class: u16,
    ttl: u32,
    rdata: &'a [u8],
    /// Offset behind the rdata.
    end: usize,
}

impl<'a> Record<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        skip_compressed(reader)?;
        let [t0, t1, c0, c1, s0, s1, s2, s3, l0, l1] = reader.array()?;
        let rdata = reader.take(usize::from(u16::from_be_bytes([l0, l1])))?;
        Ok(Self {
            rtype: u16::from_be_bytes([t0, t1]),
            class: u16::from_be_bytes([c0, c1]),
            ttl: u32::from_be_bytes([s0, s1, s2, s3]),
            rdata,
            end: reader.position(),
        })
    }
}

/// Steps over a record of the answer or authority section; OPT and TSIG have no business there.
fn skip_record(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let record = Record::read(reader).map_err(|Malformed| Fault::Record)?;
    match record.rtype {
        rtype::OPT => Err(Fault::MisplacedOpt),
        rtype::TSIG => Err(Fault::Tsig),
        _ => Ok(()),
    }
}
