//! HTTP/1.1 by hand, for requests that no well-behaved client sends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::signer::Request;

const DEADLINE: Duration = Duration::from_secs(60);
const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// A byte stream to the server, plain or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A response, read to its end.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, with any chunked framing removed.
    pub body: Vec<u8>,
}

impl Response {
    /// The S3 error code in an XML body; empty if there is none.
    pub fn error_code(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        code.map(|(code, _)| code.to_owned()).unwrap_or_default()
    }
}

/// Connects to `host` (`127.0.0.1:port`), with TLS if a certificate to trust is given.
pub async fn connect(host: &str, trusted_pem: Option<&str>) -> Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect(host).await.context("connecting")?;
    tcp.set_nodelay(true)?;
    let Some(pem) = trusted_pem else { return Ok(Box::new(tcp)) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.context("certificate")?).context("certificate")?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS versions")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").context("server name")?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.context("TLS handshake")?;
    Ok(Box::new(tls))
}

/// The head of a request as bytes. A `content-length` is sent only if the request carries one.
pub fn head_of(request: &Request) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target());
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Sends a request with a body on a connection of its own.
pub async fn send(host: &str, request: &Request, body: &[u8]) -> Result<Response> {
    let mut request = request.clone();
    if !request.headers.contains_key("content-length") && !request.headers.contains_key("transfer-encoding") {
        request.headers.insert("content-length".to_owned(), body.len().to_string());
    }
    request.headers.insert("connection".to_owned(), "close".to_owned());
    let mut bytes = head_of(&request);
    bytes.extend_from_slice(body);
    send_bytes(host, &bytes, request.method == "HEAD").await
}

/// Sends exactly these bytes and reads one response. The write may fail half-way, because the server
/// may answer and close before it has read everything; the response is what counts.
pub async fn send_bytes(host: &str, bytes: &[u8], is_head: bool) -> Result<Response> {
    let exchange = async {
        let stream = connect(host, None).await?;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (_, response) = tokio::join!(
            async {
                let _ = writer.write_all(bytes).await;
                let _ = writer.flush().await;
                writer
            },
            read_response(&mut reader, is_head)
        );
        response
    };
    tokio::time::timeout(DEADLINE, exchange).await.context("no response in time")?
}

/// An unsigned GET.
pub async fn get(host: &str, trusted_pem: Option<&str>, path: &str) -> Result<Response> {
    let exchange = async {
        let mut stream = connect(host, trusted_pem).await?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        read_response(&mut stream, false).await
    };
    tokio::time::timeout(DEADLINE, exchange).await.context("no response in time")?
}

/// Reads one final response, passing over `100 Continue`.
pub async fn read_response<R: AsyncRead + Unpin>(stream: &mut R, is_head: bool) -> Result<Response> {
    let mut buffer = Vec::new();
    loop {
        let head = read_head(stream, &mut buffer).await?;
        let mut response = parse_head(&head)?;
        if response.status == 100 {
            continue;
        }
        if is_head || matches!(response.status, 204 | 304) {
            return Ok(response);
        }
        response.body = read_body(stream, buffer, &response.headers).await?;
        return Ok(response);
    }
}

async fn read_head<R: AsyncRead + Unpin>(stream: &mut R, buffer: &mut Vec<u8>) -> Result<String> {
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            let rest = buffer.split_off(end + 4);
            let head = std::mem::replace(buffer, rest);
            return String::from_utf8(head).context("response head");
        }
        if stream.read_buf(buffer).await? == 0 {
            bail!("the server closed the connection without a response");
        }
    }
}

fn parse_head(head: &str) -> Result<Response> {
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("status line")?;
    let mut response = Response { status: status.parse().context("status")?, ..Response::default() };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        response.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(response)
}

async fn read_body<R: AsyncRead + Unpin>(
    stream: &mut R,
    mut body: Vec<u8>,
    headers: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    if let Some(length) = headers.get("content-length") {
        let length: usize = length.parse().context("content-length")?;
        ensure!(length <= RESPONSE_BYTES_MAX, "a response of {length} bytes");
        while body.len() < length {
            ensure!(stream.read_buf(&mut body).await? > 0, "the body ended early");
        }
        body.truncate(length);
        return Ok(body);
    }
    let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
    while !(chunked && body.ends_with(b"0\r\n\r\n")) && stream.read_buf(&mut body).await? > 0 {
        ensure!(body.len() <= RESPONSE_BYTES_MAX, "an endless response");
    }
    if chunked { dechunk(&body) } else { Ok(body) }
}

fn dechunk(mut framed: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = find(framed, b"\r\n").context("chunk header")?;
        let header = std::str::from_utf8(framed.get(..end).unwrap_or_default())?;
        let length = usize::from_str_radix(header.split(';').next().unwrap_or_default().trim(), 16)?;
        if length == 0 {
            return Ok(body);
        }
        let start = end + 2;
        body.extend_from_slice(framed.get(start..start + length).context("chunk")?);
        framed = framed.get(start + length + 2..).context("after a chunk")?;
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
