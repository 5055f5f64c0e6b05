//! Writing a reply into the caller's buffer: records, name compression (RFC 1035 §4.1.4), the OPT record (RFC 6891 §6.1). Nothing is written
//! past the limit; what does not fit is reported as `Full`, and the caller decides what that means (RFC 2181 §9).

use crate::edns::{ClientSubnet, FLAG_DO, OPTION_CLIENT_SUBNET, OPTION_COOKIE, OPTION_EXTENDED_ERROR, OPTION_KEEPALIVE, OPTION_NSID};
use crate::header::{HEADER_LENGTH, Header, Rcode, TC};
use crate::name::Name;
use crate::rdata::{CompressibleNames, compressible_names, name_to_point_at};
use crate::reader::Reader;
use crate::request::Question;
use crate::rtype;
use crate::tsig::{BADKEY, Tsig};

/// Names after these are written whole. A referral with 13 servers and their glue needs about 20; a longer list costs time and saves little.
const NAMES: usize = 48;
/// Compression pointers have 14 bits.
const POINTER_REACH: usize = 0x4000;
/// Pointers that a reader may have to follow for one name. RFC 1035 sets no bound and readers do: 16 in one in wide use.
const MAX_HOPS: u8 = 8;
/// Type, class, ttl and rdata length.
const FIXED_FIELDS: usize = 10;

/// There is no room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The sections that records go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Answer,
    Authority,
    Additional,
}

/// Where in the message a whole name stands, for pointers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameAt(u16);

impl NameAt {
    /// The suffix of the question's name that begins `octets` behind its start. The question is never compressed, so every suffix stands whole.
    #[inline]
    pub fn in_question(octets: usize) -> Option<Self> {
        name_at(HEADER_LENGTH.wrapping_add(octets))
    }

    #[inline]
    fn pointer(self) -> [u8; 2] {
        (0xc000 | self.0).to_be_bytes()
    }
}

/// The names written so far. Kept by the caller from reply to reply.
#[derive(Debug, Clone)]
pub struct NameTable {
    entries: [KnownName; NAMES],
    count: usize,
}

/// A name that can be pointed at.
#[derive(Debug, Clone, Copy)]
struct KnownName {
    /// Octets of the whole name, uncompressed.
    length: u8,
    /// Pointers to follow on the way to its root label.
    hops: u8,
    offset: u16,
}

impl NameTable {
    /// A table without names.
    pub const fn new() -> Self {
        Self { entries: [KnownName { length: 0, hops: 0, offset: 0 }; NAMES], count: 0 }
    }

    fn add(&mut self, length: usize, offset: usize) {
        let (Ok(length), Ok(offset)) = (u8::try_from(length), u16::try_from(offset)) else { return };
        if usize::from(offset) < POINTER_REACH
            && let Some(entry) = self.entries.get_mut(self.count)
        {
            *entry = KnownName { length, hops: 0, offset };
            self.count = self.count.wrapping_add(1);
        }
    }

    fn candidates(&self, length: usize) -> impl Iterator<Item = KnownName> + '_ {
        let entries = self.entries.get(..self.count).unwrap_or(&[]);
        entries.iter().filter(move |known| usize::from(known.length) == length && known.hops < MAX_HOPS).copied()
    }

    /// The names added since there were `count` end in a pointer to a name of that many hops.
    fn end_in_pointer(&mut self, count: usize, hops: u8) {
        for entry in self.entries.iter_mut().take(self.count).skip(count) {
            entry.hops = hops.saturating_add(1);
        }
    }
}

impl Default for NameTable {
    fn default() -> Self {
        Self::new()
    }
}

/// A point to go back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    at: usize,
    names: usize,
    counts: [u16; 3],
}

/// A reply under construction.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    at: usize,
    limit: usize,
    names: &'b mut NameTable,
    questions: u16,
    counts: [u16; 3],
}

impl<'b> Writer<'b> {
    /// A reply of at most `limit` octets in `buffer`, with room kept for the header.
    pub fn new(buffer: &'b mut [u8], limit: usize, names: &'b mut NameTable) -> Self {
        names.count = 0;
        let limit = limit.min(buffer.len());
        Self { buffer, at: HEADER_LENGTH, limit, names, questions: 0, counts: [0; 3] }
    }

    /// Octets so far.
    pub fn length(&self) -> usize {
        self.at
    }

    /// Keeps `octets` back from the limit, for what must still be written at the end.
    pub fn reserve(&mut self, octets: usize) {
        self.limit = self.limit.saturating_sub(octets);
    }

    /// Gives back what was kept.
    pub fn release(&mut self, octets: usize) {
        self.limit = self.limit.saturating_add(octets).min(self.buffer.len());
    }

    /// Where we are, to come back to when something does not fit.
    pub fn mark(&self) -> Mark {
        Mark { at: self.at, names: self.names.count, counts: self.counts }
    }

    /// Forgets everything written since `mark`.
    pub fn rewind(&mut self, mark: Mark) {
        self.at = mark.at;
        self.names.count = mark.names;
        self.counts = mark.counts;
    }

    /// Copies the question as asked, with its case (RFC 1035 §4.1.2, RFC 4343 §4.1).
    ///
    /// # Errors
    /// When there is no room.
    pub fn put_question(&mut self, question: &Question<'_>) -> Result<Option<NameAt>, Full> {
        let began = self.at;
        self.put(question.qname.wire())?;
        let [t0, t1] = question.qtype.to_be_bytes();
        let [c0, c1] = question.qclass.to_be_bytes();
        self.put(&[t0, t1, c0, c1])?;
        self.questions = 1;
        Ok(if question.qname.is_root() { None } else { name_at(began) })
    }

    /// Octets as they are.
    ///
    /// # Errors
    /// When there is no room.
    #[inline]
    pub fn put(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.at.checked_add(octets.len()).filter(|&end| end <= self.limit).ok_or(Full)?;
        self.buffer.get_mut(self.at..end).ok_or(Full)?.copy_from_slice(octets);
        self.at = end;
        Ok(())
    }

    /// A name, compressed where one of its suffixes has been written, compared without regard to case (RFC 4343 §4.1). Says where the whole
    /// name can be pointed at: nowhere for the root and beyond the reach of pointers.
    ///
    /// # Errors
    /// When there is no room.
    pub fn put_name(&mut self, name: Name<'_>) -> Result<Option<NameAt>, Full> {
        if self.names.count == 0 {
            self.learn_question(); // only now: most replies point at the question's whole name and at nothing else
        }
        let (began, known) = (self.at, self.names.count);
        let mut suffix = name;
        loop {
            if suffix.is_root() {
                self.put(&[0])?;
                return Ok(if began.wrapping_add(1) == self.at { None } else { name_at(began) });
            }
            if let Some(target) = self.find(suffix) {
                self.put(&NameAt(target.offset).pointer())?;
                self.names.end_in_pointer(known, target.hops);
                return Ok(if began.wrapping_add(2) == self.at { Some(NameAt(target.offset)) } else { name_at(began) });
            }
            let parent = suffix.parent().unwrap_or(Name::ROOT);
            self.names.add(suffix.wire().len(), self.at);
            let label = suffix.wire().len().saturating_sub(parent.wire().len());
            self.put(suffix.wire().get(..label).unwrap_or(&[]))?;
            suffix = parent;
        }
    }

    fn find(&self, name: Name<'_>) -> Option<KnownName> {
        self.names.candidates(name.wire().len()).find(|known| self.stands_at(name, usize::from(known.offset)))
    }

    /// Whether the name that begins at `offset` of what is written is `name`.
    fn stands_at(&self, name: Name<'_>, offset: usize) -> bool {
        let mut at = offset;
        let mut left = name;
        // Each turn consumes a label of `name` or follows a pointer that we wrote, which goes backwards: the loop ends.
        loop {
            let Some(&first) = self.buffer.get(at) else { return false };
            if first >= 0xc0 {
                let Some(&[high, low]) = self.buffer.get(at..).and_then(<[u8]>::first_chunk) else { return false };
                at = usize::from(u16::from_be_bytes([high & 0x3f, low]));
                continue;
            }
            let length = usize::from(first).wrapping_add(1);
            let end = at.wrapping_add(length);
            let (Some(here), Some(wanted)) = (self.buffer.get(at..end), left.wire().get(..length)) else { return false };
            if !here.eq_ignore_ascii_case(wanted) {
                return false;
            }
            let Some(parent) = left.parent() else { return true };
            (at, left) = (end, parent);
        }
    }

    fn learn_question(&mut self) {
        let mut at = HEADER_LENGTH;
        let length = match self.questions {
            0 => 0,
            _ => self.buffer.get(at..).and_then(|octets| Name::read(&mut Reader::new(octets)).ok()).map_or(0, |name| name.wire().len()),
        };
        let end = at.wrapping_add(length);
        while at < end {
            let label = usize::from(self.buffer.get(at).copied().unwrap_or(0));
            if label == 0 {
                return;
            }
            self.names.add(end.wrapping_sub(at), at);
            at = at.wrapping_add(label).wrapping_add(1);
        }
    }

    /// One record of class IN. Names in the rdata of the RFC 1035 types are compressed, those of all others are not (RFC 3597 §4).
    /// Says where the owner name can be pointed at from now on.
    ///
    /// # Errors
    /// When there is no room; a part of the record may then have been written.
    pub fn put_record(
        &mut self,
        section: Section,
        owner: (Name<'_>, Option<NameAt>),
        fields: Fields,
        rdata: &[u8],
    ) -> Result<Written, Full> {
        let (owner_at, rdata_name) = match (owner.1, compressible_names(fields.rtype)) {
            (Some(at), None) => (self.put_pointed_record(at, fields, rdata).map(|()| Some(at))?, None),
            (None, None) => (self.put_name(owner.0)?, self.put_plain_rdata(fields, rdata).map(|()| None)?),
            (Some(at), Some(names)) => {
                self.put(&at.pointer())?;
                (Some(at), self.put_rdata_with_names(fields, rdata, names)?)
            }
            (None, Some(names)) => (self.put_name(owner.0)?, self.put_rdata_with_names(fields, rdata, names)?),
        };
        self.count(section);
        Ok(Written { owner: owner_at, rdata_name })
    }

    /// The commonest record by far: its owner stands before, its rdata goes out as it is.
    #[inline]
    fn put_pointed_record(&mut self, at: NameAt, fields: Fields, rdata: &[u8]) -> Result<(), Full> {
        let length = u16::try_from(rdata.len()).map_err(|_| Full)?;
        let [p0, p1] = at.pointer();
        let [t0, t1, c0, c1, s0, s1, s2, s3, l0, l1] = fields.octets(length);
        self.put(&[p0, p1, t0, t1, c0, c1, s0, s1, s2, s3, l0, l1])?;
        self.put_rdata(fields.rtype, rdata)
    }

    fn put_plain_rdata(&mut self, fields: Fields, rdata: &[u8]) -> Result<(), Full> {
        let length = u16::try_from(rdata.len()).map_err(|_| Full)?;
        self.put(&fields.octets(length))?;
        self.put_rdata(fields.rtype, rdata)
    }

    #[inline]
    fn put_rdata(&mut self, rtype: u16, rdata: &[u8]) -> Result<(), Full> {
        if let Ok(address) = <&[u8; 4]>::try_from(rdata) {
            return self.put(address); // of known length: no call
        }
        let began = self.at;
        self.put(rdata)?;
        if let Some(before) = name_to_point_at(rtype)
            && let Ok(name) = Name::read(&mut Reader::at(rdata, before))
        {
            self.learn(name, began.wrapping_add(before));
        }
        Ok(())
    }

    /// The SOA record of a denial, whose owner name stands at `at`.
    ///
    /// # Errors
    /// When there is no room.
    pub fn put_soa(&mut self, at: NameAt, soa: &SoaTemplate, ttl: u32) -> Result<(), Full> {
        let began = self.at;
        self.put(&soa.octets)?;
        let record = self.buffer.get_mut(began..self.at).ok_or(Full)?;
        for &position in &soa.pointers {
            patch(record, usize::from(position), &at.pointer());
        }
        patch(record, SoaTemplate::TTL_AT, &ttl.to_be_bytes());
        self.count(Section::Authority);
        Ok(())
    }

    /// The uncompressed name at `offset` can be pointed at from now on.
    fn learn(&mut self, name: Name<'_>, offset: usize) {
        let (mut suffix, mut at) = (name, offset);
        while let Some(parent) = suffix.parent() {
            self.names.add(suffix.wire().len(), at);
            at = at.wrapping_add(suffix.wire().len().wrapping_sub(parent.wire().len()));
            suffix = parent;
        }
    }

    fn put_rdata_with_names(&mut self, fields: Fields, rdata: &[u8], names: CompressibleNames) -> Result<Option<NameAt>, Full> {
        self.put(&fields.octets(0))?;
        let began = self.at;
        let (before, mut rest) = rdata.split_at_checked(names.octets_before).ok_or(Full)?;
        self.put(before)?;
        let mut last = None;
        for _ in 0..names.count {
            let mut reader = Reader::new(rest);
            // Stored rdata was checked when it was adopted.
            let name = Name::read(&mut reader).map_err(|_| Full)?;
            rest = rest.get(reader.position()..).unwrap_or(&[]);
            last = self.put_name(name)?;
        }
        self.put(rest)?;
        let length = u16::try_from(self.at.wrapping_sub(began)).map_err(|_| Full)?;
        let length_at = began.wrapping_sub(2);
        self.buffer.get_mut(length_at..began).ok_or(Full)?.copy_from_slice(&length.to_be_bytes());
        Ok(last)
    }

    #[inline]
    fn count(&mut self, section: Section) {
        if let Some(count) = self.counts.get_mut(section as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// How many records the section has.
    pub fn records(&self, section: Section) -> u16 {
        self.counts.get(section as usize).copied().unwrap_or(0)
    }

    /// The OPT record (RFC 6891 §6.1).
    ///
    /// # Errors
    /// When there is no room.
    pub fn put_opt(&mut self, opt: &OptReply<'_>, rcode: Rcode) -> Result<(), Full> {
        let [payload0, payload1] = opt.payload.to_be_bytes();
        let [flags0, flags1] = if opt.dnssec_ok { FLAG_DO } else { 0 }.to_be_bytes();
        let [type0, type1] = rtype::OPT.to_be_bytes();
        let length = u16::try_from(opt.length().saturating_sub(OptReply::FIXED)).map_err(|_| Full)?;
        let [length0, length1] = length.to_be_bytes();
        self.put(&[0, type0, type1, payload0, payload1, rcode.high_bits(), 0, flags0, flags1, length0, length1])?;
        self.put_options(opt)?;
        self.count(Section::Additional);
        Ok(())
    }

    fn put_options(&mut self, opt: &OptReply<'_>) -> Result<(), Full> {
        if let Some(nsid) = opt.nsid {
            self.put_option(OPTION_NSID, &[nsid])?;
        }
        if let Some((subnet, scope)) = &opt.client_subnet {
            // RFC 7871 §7.2.1: family, source prefix and address exactly as sent.
            let [family0, family1] = subnet.family.to_be_bytes();
            self.put_option(OPTION_CLIENT_SUBNET, &[&[family0, family1, subnet.source, *scope], subnet.octets])?;
        }
        if let Some(cookie) = &opt.cookie {
            self.put_option(OPTION_COOKIE, &[cookie])?;
        }
        if let Some(timeout) = opt.keepalive {
            self.put_option(OPTION_KEEPALIVE, &[&timeout.to_be_bytes()])?;
        }
        if let Some(info) = opt.extended_error {
            self.put_option(OPTION_EXTENDED_ERROR, &[&info.to_be_bytes()])?;
        }
        Ok(())
    }

    fn put_option(&mut self, code: u16, parts: &[&[u8]]) -> Result<(), Full> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.put(&code.to_be_bytes())?;
        self.put(&u16::try_from(length).map_err(|_| Full)?.to_be_bytes())?;
        parts.iter().try_for_each(|part| self.put(part))
    }

    /// The unsigned TSIG record that says BADKEY (RFC 8945 §5.3.2): no MAC, the request's own times and original id.
    ///
    /// # Errors
    /// When there is no room.
    pub fn put_badkey(&mut self, tsig: &Tsig<'_>) -> Result<(), Full> {
        let fields = tsig.fields().map_err(|_| Full)?; // `Tsig::read` has read them all before
        let algorithm = fields.algorithm.as_name().wire();
        self.put(fields.key.as_name().wire())?;
        let length = u16::try_from(algorithm.len().wrapping_add(16)).map_err(|_| Full)?;
        self.put(&Fields { rtype: rtype::TSIG, class: rtype::CLASS_ANY, ttl: 0 }.octets(length))?;
        self.put(algorithm)?;
        self.put(&fields.time_signed)?;
        for field in [fields.fudge, 0, fields.original_id, BADKEY, 0] {
            self.put(&field.to_be_bytes())?;
        }
        self.count(Section::Additional);
        Ok(())
    }

    /// Writes the header and ends the reply: its length. 0 when the buffer could not even hold a header.
    pub fn finish(&mut self, header: &Header, authoritative: bool, truncated: bool, rcode: Rcode) -> usize {
        let [answers, authorities, additionals] = self.counts;
        let flags = header.reply_flags(authoritative, truncated, rcode);
        let fields = [header.id, flags, self.questions, answers, authorities, additionals];
        let Some(start) = self.buffer.get_mut(..HEADER_LENGTH) else { return 0 };
        for (slot, field) in start.chunks_exact_mut(2).zip(fields) {
            slot.copy_from_slice(&field.to_be_bytes());
        }
        self.at
    }
}

/// Where the parts of a finished reply lie that stay when it is emptied; offsets into the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// The end of the question, or of the header where there is none.
    pub question_end: usize,
    /// The OPT record; of no length where there is none. It holds no name, so it means the same in another place.
    pub opt_start: usize,
    pub opt_end: usize,
}

/// Empties a finished reply: header, question and OPT stay, TC is set (RFC 2181 §9: the client is to come back over TCP). Its new length.
pub fn empty(reply: &mut [u8], outline: Outline) -> usize {
    let Outline { question_end, opt_start, opt_end } = outline;
    let opt_length = opt_end.saturating_sub(opt_start);
    let length = question_end.wrapping_add(opt_length);
    if opt_end > reply.len() || length > reply.len() {
        return 0;
    }
    reply.copy_within(opt_start..opt_start.wrapping_add(opt_length), question_end);
    let Some(header) = reply.first_chunk_mut::<HEADER_LENGTH>() else { return 0 };
    let [_, _, flags0, flags1, _, _, answers @ .., additional0, additional1] = header;
    [*flags0, *flags1] = (u16::from_be_bytes([*flags0, *flags1]) | TC).to_be_bytes();
    *answers = [0; 4];
    [*additional0, *additional1] = u16::from(opt_length > 0).to_be_bytes();
    length
}

#[inline]
fn patch(record: &mut [u8], at: usize, octets: &[u8]) {
    if let Some(slot) = record.get_mut(at..at.wrapping_add(octets.len())) {
        slot.copy_from_slice(octets);
    }
}

/// A zone's SOA record as denials carry it, written once when the zone changes: only the pointers to the zone's name and the ttl are
/// filled in later. Names that do not lie in the zone stand in it whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoaTemplate {
    octets: Box<[u8]>,
    /// Where pointers to the apex stand: of the owner, and of MNAME and RNAME or, where these have none, again of the owner.
    pointers: [u16; 3],
}

impl SoaTemplate {
    const TTL_AT: usize = 6;

    /// The template for SOA rdata of the zone `apex`; `None` for the root, which cannot be pointed at, and for malformed rdata.
    pub fn new(apex: Name<'_>, rdata: &[u8]) -> Option<Self> {
        if apex.is_root() {
            return None;
        }
        let mut reader = Reader::new(rdata);
        let (mname, rname) = (Name::read(&mut reader).ok()?, Name::read(&mut reader).ok()?);
        let numbers = rdata.get(reader.position()..)?;
        let mut octets = vec![0, 0];
        octets.extend_from_slice(&Fields::new(rtype::SOA, 0).octets(0));
        let rdata_at = octets.len();
        let pointers = [0, append_relative(&mut octets, mname, apex)?, append_relative(&mut octets, rname, apex)?];
        octets.extend_from_slice(numbers);
        let length = u16::try_from(octets.len().checked_sub(rdata_at)?).ok()?;
        patch(&mut octets, rdata_at.checked_sub(2)?, &length.to_be_bytes());
        Some(Self { octets: octets.into_boxed_slice(), pointers })
    }
}

/// Appends the labels of `name` above `apex` and room for a pointer, whose position it returns; or `name` whole, and 0.
fn append_relative(octets: &mut Vec<u8>, name: Name<'_>, apex: Name<'_>) -> Option<u16> {
    let above = name.wire().len().checked_sub(apex.wire().len()).and_then(|above| name.wire().split_at_checked(above));
    match above {
        Some((labels, rest)) if rest.eq_ignore_ascii_case(apex.wire()) && ends_at_label(name, labels.len()) => {
            octets.extend_from_slice(labels);
            let position = u16::try_from(octets.len()).ok()?;
            octets.extend_from_slice(&[0, 0]);
            Some(position)
        }
        Some(_) | None => {
            octets.extend_from_slice(name.wire());
            Some(0)
        }
    }
}

/// Whether a label of `name` begins at `offset`.
fn ends_at_label(name: Name<'_>, offset: usize) -> bool {
    let mut suffix = Some(name);
    let wanted = name.wire().len().saturating_sub(offset);
    while let Some(left) = suffix {
        if left.wire().len() <= wanted {
            return left.wire().len() == wanted;
        }
        suffix = left.parent();
    }
    false
}

#[inline]
fn name_at(offset: usize) -> Option<NameAt> {
    u16::try_from(offset).ok().filter(|&offset| usize::from(offset) < POINTER_REACH).map(NameAt)
}

/// Type, class and ttl of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
}

impl Fields {
    /// A record of class IN.
    pub fn new(rtype: u16, ttl: u32) -> Self {
        Self { rtype, class: rtype::CLASS_IN, ttl }
    }

    #[inline]
    fn octets(self, length: u16) -> [u8; FIXED_FIELDS] {
        let [t0, t1] = self.rtype.to_be_bytes();
        let [c0, c1] = self.class.to_be_bytes();
        let [s0, s1, s2, s3] = self.ttl.to_be_bytes();
        let [l0, l1] = length.to_be_bytes();
        [t0, t1, c0, c1, s0, s1, s2, s3, l0, l1]
    }
}

/// Where the names of a written record stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    pub owner: Option<NameAt>,
    /// The last compressible name of the rdata: the target of a CNAME.
    pub rdata_name: Option<NameAt>,
}

/// What goes into the OPT record of a reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OptReply<'a> {
    /// The largest request over UDP that we take (RFC 6891 §6.2.3).
    pub payload: u16,
    /// Copied from the request (RFC 3225 §3).
    pub dnssec_ok: bool,
    pub nsid: Option<&'a [u8]>,
    /// The request's client subnet and the scope prefix.
    pub client_subnet: Option<(ClientSubnet<'a>, u8)>,
    pub cookie: Option<[u8; 24]>,
    /// In units of 100 ms (RFC 7828 §3.1).
    pub keepalive: Option<u16>,
    /// RFC 8914 §4, without text.
    pub extended_error: Option<u16>,
}

impl OptReply<'_> {
    /// Root owner name, fixed fields.
    const FIXED: usize = 11;
    /// Code and length of an option.
    const OPTION: usize = 4;

    /// Octets of the record.
    pub fn length(&self) -> usize {
        let options = [
            self.nsid.map(<[u8]>::len),
            self.client_subnet.map(|(subnet, _)| subnet.octets.len().saturating_add(4)),
            self.cookie.map(|cookie| cookie.len()),
            self.keepalive.map(|_| 2),
            self.extended_error.map(|_| 2),
        ];
        options.iter().flatten().fold(Self::FIXED, |sum, length| sum.saturating_add(*length).saturating_add(Self::OPTION))
    }
}
