//! The generator's own signer and HTTP/1.1 connection: as little work per request as will do, because
//! the generator shares its cores with the server it measures.
//!
//! Only for well-formed traffic to a server that behaves; the tests have their own.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const READ_BYTES: usize = 256 << 10;
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Builds signed request heads for one host, with a signing key derived once. Good for the 15 minutes
/// that servers allow between signing and sending; made anew for each scenario.
#[derive(Clone)]
pub struct HeadSigner {
    host: String,
    amz_date: String,
    scope: String,
    access_key: String,
    signing_key: Hmac<Sha256>,
}

impl HeadSigner {
    /// A signer for requests sent from now on.
    pub fn new(host: &str, access_key: &str, secret_key: &str, region: &str) -> Result<Self> {
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let amz_date = OffsetDateTime::now_utc().format(&format)?;
        let date = amz_date.get(..8).context("date")?;
        let mut key = hmac(format!("AWS4{secret_key}").as_bytes(), date.as_bytes())?;
        for part in [region, "s3", "aws4_request"] {
            key = hmac(&key, part.as_bytes())?;
        }
        Ok(Self {
            host: host.to_owned(),
            scope: format!("{date}/{region}/s3/aws4_request"),
            amz_date,
            access_key: access_key.to_owned(),
            signing_key: Hmac::new_from_slice(&key)?,
        })
    }

    /// The head of a request. `path` and `query` are given as they go on the wire, the query sorted;
    /// `extra` are further header lines, of which those are signed that have to be: Amazon's own.
    pub fn head(
        &self,
        method: &str,
        path: &str,
        query: &str,
        length_bytes: u64,
        extra: &str,
    ) -> Result<String> {
        let (lines, names) = signed_of(extra)?;
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{}\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:{}\n{lines}\n\
             host;x-amz-content-sha256;x-amz-date{names}\nUNSIGNED-PAYLOAD",
            self.host, self.amz_date,
        );
        let hash = hex::encode(Sha256::digest(canonical.as_bytes()));
        let mut mac = self.signing_key.clone();
        mac.update(format!("AWS4-HMAC-SHA256\n{}\n{}\n{hash}", self.amz_date, self.scope).as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let mark = if query.is_empty() { "" } else { "?" };
        let mut head = String::with_capacity(512);
        write!(
            head,
            "{method} {path}{mark}{query} HTTP/1.1\r\nhost: {}\r\nx-amz-date: {}\r\n\
             x-amz-content-sha256: UNSIGNED-PAYLOAD\r\ncontent-length: {length_bytes}\r\n{extra}\
             authorization: AWS4-HMAC-SHA256 Credential={}/{}, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date{names}, Signature={signature}\r\n\r\n",
            self.host, self.amz_date, self.access_key, self.scope,
        )?;
        Ok(head)
    }
}

/// The canonical lines of the headers of `extra` that have to be signed, and their names, each behind a semicolon.
fn signed_of(extra: &str) -> Result<(String, String)> {
    let (mut lines, mut names, mut last) = (String::new(), String::new(), "x-amz-date");
    for line in extra.split("\r\n").filter(|line| line.starts_with("x-amz-")) {
        let (name, value) = line.split_once(": ").context("a header line")?;
        ensure!(name > last, "{name} is not given in the order in which headers are signed");
        writeln!(lines, "{name}:{value}")?;
        write!(names, ";{name}")?;
        last = name;
    }
    Ok((lines, names))
}

fn hmac(key: &[u8], message: &[u8]) -> Result<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
    mac.update(message);
    Ok(mac.finalize().into_bytes().to_vec())
}

/// A request's body.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// A block over and over, until so many bytes are sent.
    Repeated {
        /// The block.
        block: &'a [u8],
        /// All bytes to send.
        length_bytes: u64,
    },
}

impl Body<'_> {
    /// How many bytes are sent.
    pub fn length_bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Repeated { length_bytes, .. } => *length_bytes,
        }
    }
}

/// What came back, the body counted and thrown away.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// How long the body was.
    pub body_bytes: u64,
}

/// A keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// Connects, without Nagle's delay.
    pub async fn open(host: &str) -> Result<Self> {
        let stream = TcpStream::connect(host).await.context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; READ_BYTES], filled: 0 })
    }

    /// Sends one request and reads its whole answer.
    pub async fn exchange(&mut self, head: &str, body: Body<'_>) -> Result<Answer> {
        match body {
            Body::Bytes(bytes) => {
                let mut message = Vec::with_capacity(head.len() + bytes.len());
                message.extend_from_slice(head.as_bytes());
                message.extend_from_slice(bytes);
                self.stream.write_all(&message).await?;
            }
            Body::Repeated { block, mut length_bytes } => {
                self.stream.write_all(head.as_bytes()).await?;
                while length_bytes > 0 {
                    let count = usize::try_from(length_bytes).unwrap_or(block.len()).min(block.len());
                    self.stream.write_all(block.get(..count).unwrap_or_default()).await?;
                    length_bytes -= count as u64;
                }
            }
        }
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Answer> {
        let head_length = loop {
            let seen = self.buffer.get(..self.filled).unwrap_or_default();
            if let Some(at) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(self.filled < HEAD_BYTES_MAX, "an answer with a head of over {HEAD_BYTES_MAX} bytes");
            self.fill().await?;
        };
        let head = std::str::from_utf8(self.buffer.get(..head_length).unwrap_or_default())?;
        let status: u16 = head.get(9..12).context("status")?.parse().context("status")?;
        let framing = Framing::of(head)?;
        let extra = self.filled - head_length;
        self.buffer.copy_within(head_length..self.filled, 0);
        self.filled = extra;
        let body_bytes = match framing {
            Framing::Length(length_bytes) => self.skip(length_bytes).await?,
            Framing::Chunked => self.skip_chunks().await?,
        };
        Ok(Answer { status, body_bytes })
    }

    async fn fill(&mut self) -> Result<()> {
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let count = self.stream.read(room).await?;
        if count == 0 {
            bail!("the server closed the connection");
        }
        self.filled += count;
        Ok(())
    }

    async fn skip(&mut self, length_bytes: u64) -> Result<u64> {
        let mut left = length_bytes;
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.filled);
            left -= here as u64;
            self.buffer.copy_within(here..self.filled, 0);
            self.filled -= here;
            if left == 0 {
                return Ok(length_bytes);
            }
            self.fill().await?;
        }
    }

    async fn skip_chunks(&mut self) -> Result<u64> {
        let mut total = 0;
        loop {
            let line_length = loop {
                let seen = self.buffer.get(..self.filled).unwrap_or_default();
                if let Some(at) = seen.windows(2).position(|window| window == b"\r\n") {
                    break at;
                }
                self.fill().await?;
            };
            let line = std::str::from_utf8(self.buffer.get(..line_length).unwrap_or_default())?;
            let length_bytes = u64::from_str_radix(line.trim(), 16).context("chunk length")?;
            self.skip(line_length as u64 + 2).await?;
            self.skip(length_bytes + 2).await?;
            if length_bytes == 0 {
                return Ok(total);
            }
            total += length_bytes;
        }
    }
}

enum Framing {
    Length(u64),
    Chunked,
}

impl Framing {
    fn of(head: &str) -> Result<Self> {
        for line in head.split("\r\n").skip(1) {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                return Ok(Self::Length(value.trim().parse().context("content-length")?));
            }
            if name.eq_ignore_ascii_case("transfer-encoding") {
                return Ok(Self::Chunked);
            }
        }
        Ok(Self::Length(0))
    }
}
