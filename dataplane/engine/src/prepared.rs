//! The first step of an answer: what a request asks, for whom, and in which zone, before anything is written. It depends on nothing but the view, so a batch of requests takes
//! it together (`ahead`); what follows from it is `answer`'s business.

use std::net::SocketAddr;

use geodns_wire::NameKey;
use geodns_wire::edns::ClientSubnet;
use geodns_wire::request::{Request, Unanswerable};

use crate::admit::{Admission, Refusal, admit};
use crate::client::{believed_subnet, client_of, unmapped};
use crate::lookup::find_zone;
use crate::steer::Client;
use crate::view::View;
use crate::zones::Zone;

/// Why nothing is sent; each has its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Fewer octets than a header.
    Short,
    /// QR is set.
    Response,
    /// No client has port 0: whoever would get the answer did not ask.
    SourcePortZero,
    /// The caller's buffer cannot hold a header.
    NoBuffer,
}

/// A request between the two steps of its answer.
#[derive(Debug)]
pub struct Prepared<'k, 'v, 'm> {
    pub(crate) request: Request<'m>,
    /// The client subnet, when policy believes it.
    pub(crate) subnet: Option<ClientSubnet<'m>>,
    pub(crate) task: Task<'k, 'v>,
}

/// What is left to do for it.
#[derive(Debug)]
pub(crate) enum Task<'k, 'v> {
    /// An error goes back.
    Refuse(Refusal),
    /// No question, but a cookie to be made.
    CookieOnly,
    /// The zones are asked.
    Search(Search<'k, 'v>),
}

/// A question that is taken to the zones.
#[derive(Debug)]
pub struct Search<'k, 'v> {
    pub key: &'k mut NameKey,
    pub qtype: u16,
    pub client: Client,
    /// The zone that speaks for the question's name.
    pub zone: Option<&'v Zone>,
}

impl Search<'_, '_> {
    /// The same for as long as the borrow.
    pub(crate) fn borrowed(&mut self) -> Search<'_, '_> {
        Search { key: self.key, ..*self }
    }
}

impl<'k, 'v, 'm> Prepared<'k, 'v, 'm> {
    /// What `prepare` fills.
    pub const fn empty() -> Self {
        Self { request: Request::empty(), subnet: None, task: Task::CookieOnly }
    }

    /// Reads `request`, which `source` has sent, into a value that is `empty`, because a move is seen in a profile. `key` is memory that is needed until the reply is written.
    ///
    /// # Errors
    /// When nothing may be sent back.
    pub fn prepare(&mut self, view: &'v View, request: &'m [u8], source: SocketAddr, key: &'k mut NameKey) -> Result<(), DropReason> {
        if source.port() == 0 {
            return Err(DropReason::SourcePortZero);
        }
        self.request.read_in_place(request).map_err(|unanswerable| match unanswerable {
            Unanswerable::Short => DropReason::Short,
            Unanswerable::Response => DropReason::Response,
        })?;
        let sender = unmapped(source.ip());
        self.subnet = self.request.edns.as_ref().and_then(|edns| believed_subnet(&view.options.client_subnets, edns, sender));
        self.task = match admit(&view.options, &self.request, sender) {
            Admission::Refusal(refusal) => Task::Refuse(refusal),
            Admission::CookieOnly => Task::CookieOnly,
            Admission::Question(question) => {
                key.set(question.qname, view.zones.seed());
                let zone = find_zone(&view.zones, key, question.qtype);
                Task::Search(Search { key, qtype: question.qtype, client: client_of(self.subnet.as_ref(), sender), zone })
            }
        };
        Ok(())
    }
}
