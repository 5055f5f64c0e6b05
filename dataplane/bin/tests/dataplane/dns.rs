//! Asking, as plainly as can be.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};

use crate::process::PATIENCE;
use crate::zones::{A, name};

pub const NOERROR: u8 = 0;
pub const NXDOMAIN: u8 = 3;
pub const REFUSED: u8 = 5;

/// A reply, looked at from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply(pub Vec<u8>);

impl Reply {
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    pub fn rcode(&self) -> u8 {
        self.0[3] & 0x0f
    }

    pub fn answers(&self) -> u16 {
        u16::from_be_bytes([self.0[6], self.0[7]])
    }

    /// The address of an answer that has one record and nothing behind it.
    pub fn address(&self) -> Option<[u8; 4]> {
        (self.rcode() == NOERROR && self.answers() == 1).then(|| *self.0.last_chunk().unwrap())
    }
}

/// A query without EDNS.
pub fn query(id: u16, qname: &str, qtype: u16) -> Vec<u8> {
    let mut message = Vec::new();
    for field in [id, 0, 1, 0, 0, 0] {
        message.extend_from_slice(&field.to_be_bytes());
    }
    message.extend_from_slice(&name(qname));
    message.extend_from_slice(&qtype.to_be_bytes());
    message.extend_from_slice(&1_u16.to_be_bytes());
    message
}

/// A query with its length, as TCP wants it.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// A socket of a new port, so that the kernel may choose another worker.
pub fn client_of(server: SocketAddr) -> UdpSocket {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(server).unwrap();
    socket
}

pub fn ask_on(socket: &UdpSocket, message: &[u8]) -> Reply {
    socket.send(message).unwrap();
    let mut reply = [0; 4096];
    let length = socket.recv(&mut reply).unwrap();
    Reply(reply[..length].to_vec())
}

pub fn ask_udp(server: SocketAddr, qname: &str) -> Reply {
    ask_on(&client_of(server), &query(4711, qname, A))
}

pub fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub fn read_reply(stream: &mut TcpStream) -> std::io::Result<Reply> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    Ok(Reply(reply))
}

pub fn ask_tcp_on(stream: &mut TcpStream, message: &[u8]) -> Reply {
    stream.write_all(&framed(message)).unwrap();
    read_reply(stream).unwrap()
}

pub fn ask_tcp(server: SocketAddr, qname: &str) -> Reply {
    ask_tcp_on(&mut connect(server), &query(4711, qname, A))
}
