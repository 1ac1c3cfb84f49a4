//! Bodies that come compressed. They are not asked for: `Accept-Encoding: identity` goes with each request. Some servers, and what
//! stands before them, compress all the same.

use crate::origin::Answer;
use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder};
use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyDataStream;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncBufRead, AsyncRead, BufReader};
use tokio_util::io::{ReaderStream, StreamReader};

/// Codings that may be applied one upon the other; more are an attack or a mistake.
const CODINGS: usize = 3;

type Plain = Pin<Box<dyn AsyncBufRead + Send + Sync>>;

/// A body as its server meant it.
pub(crate) enum Decoded {
    /// It came so.
    Whole(Answer),
    /// It is decoded as it is read: how much of it is up to the reader.
    Coded(ReaderStream<Pin<Box<dyn AsyncRead + Send + Sync>>>),
}

impl std::fmt::Debug for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decoded")
    }
}

/// The body of an answer, decoded.
///
/// # Errors
/// The coding that is not known.
pub(crate) fn decoded(answer: Response<Answer>) -> Result<Decoded, String> {
    let codings = codings(answer.headers())?;
    let body = answer.into_body();
    if codings.is_empty() {
        return Ok(Decoded::Whole(body));
    }
    let stream = futures_util::TryStreamExt::map_err(BodyDataStream::new(body), io::Error::other);
    let mut plain: Plain = Box::pin(StreamReader::new(stream));
    // The last that was applied stands last.
    for coding in codings.into_iter().rev() {
        plain = match coding {
            Coding::Gzip => {
                let mut decoder = GzipDecoder::new(plain);
                decoder.multiple_members(true);
                Box::pin(BufReader::new(decoder))
            }
            Coding::Zlib => Box::pin(BufReader::new(ZlibDecoder::new(plain))),
            Coding::Brotli => Box::pin(BufReader::new(BrotliDecoder::new(plain))),
        };
    }
    Ok(Decoded::Coded(ReaderStream::new(plain)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Zlib,
    Brotli,
}

fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, String> {
    let mut found = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in String::from_utf8_lossy(value.as_bytes()).split(',') {
            match &*name.trim().to_ascii_lowercase() {
                "" | "identity" => {}
                "gzip" | "x-gzip" => found.push(Coding::Gzip),
                "deflate" => found.push(Coding::Zlib),
                "br" => found.push(Coding::Brotli),
                other => {
                    let other: String = other.chars().take(40).collect();
                    return Err(format!(
                        "the upstream's answer is encoded as `{other}`, which was not asked for; gzip, deflate and br can be read"
                    ));
                }
            }
        }
    }
    if found.len() > CODINGS {
        return Err(format!("the upstream's answer is encoded more than {CODINGS} times"));
    }
    Ok(found)
}

impl Body for Decoded {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Coded(stream) => {
                let next = futures_util::Stream::poll_next(Pin::new(stream), context);
                next.map_ok(Frame::data).map_err(Into::into)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(body) if body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Coded(_) => SizeHint::default(),
        }
    }
}
