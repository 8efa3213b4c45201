//! Ports for servers that are started later, and started again: nobody else is given them meanwhile.
//!
//! A port that the kernel chose, and that was let go, may be somebody else's when the server that it was meant for listens on it. These
//! lie below those that the kernel chooses from, and who has one holds a name for it, which goes with the process however that ends.
//! The client tests in Python hold the same names.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use anyhow::{Context, Result, bail};

/// Linux chooses from 32768 on, unless told otherwise.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A port that is nobody else's for as long as this is kept.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _name: UnixListener,
}

impl Port {
    /// Takes a port on which nothing listens at this address of the machine.
    ///
    /// # Errors
    /// When no port is left, or names cannot be held.
    pub fn take(address: Ipv4Addr) -> Result<Self> {
        let start = RandomState::new().hash_one(()) % u64::from(COUNT);
        let start = u16::try_from(start).unwrap_or_default();
        for step in 0..COUNT {
            let number = FIRST + (start + step) % COUNT;
            let Some(name) = hold(number).context("holding a port's name")? else { continue };
            if TcpListener::bind((address, number)).is_ok() {
                return Ok(Self { number, _name: name });
            }
        }
        bail!("no port is left at {address}")
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// A name that nobody has, and that leaves no file behind.
fn hold(number: u16) -> io::Result<Option<UnixListener>> {
    let name = SocketAddr::from_abstract_name(format!("granary-test-port-{number}"))?;
    match UnixListener::bind_addr(&name) {
        Ok(held) => Ok(Some(held)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}
