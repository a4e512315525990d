//! Bodies that came compressed, or are to go so: the `compression` header (kombu/compression.py).

use std::borrow::Cow;
use std::io::{Read, Write};

use bzip2::read::BzDecoder;
use bzip2::write::BzEncoder;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::ZlibEncoder;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Codec {
    /// Called gzip, and a zlib stream all the same: what kombu writes and reads under that name.
    Gzip,
    Bzip2,
}

/// Why a compressed body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    #[error("the body is compressed in a way that endpointd does not read: it reads gzip and bz2")]
    Unknown,
    #[error("the body is not what its `compression` header says: {0}")]
    Broken(std::io::Error),
    #[error("the body has more than {0} bytes when it is decompressed")]
    TooLarge(usize),
}

impl Codec {
    /// The codec of a `compression` header: a content type, or one of kombu's other names for it.
    pub fn of_header(name: &str) -> Result<Self, CompressionError> {
        match name {
            "application/x-gzip" | "gzip" | "zlib" => Ok(Self::Gzip),
            "application/x-bz2" | "bzip2" | "bzip" => Ok(Self::Bzip2),
            _ => Err(CompressionError::Unknown),
        }
    }

    /// What stands in the header.
    pub fn header(self) -> &'static str {
        match self {
            Self::Gzip => "application/x-gzip",
            Self::Bzip2 => "application/x-bz2",
        }
    }

    pub fn compress(self, body: &[u8]) -> Vec<u8> {
        let written = match self {
            Self::Gzip => {
                let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
            Self::Bzip2 => {
                let mut encoder = BzEncoder::new(Vec::new(), bzip2::Compression::default());
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
        };
        written.expect("memory takes everything")
    }

    /// The body, if it has at most `limit` bytes: a small message may claim to be a huge one.
    pub fn decompress(self, body: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        /// How real gzip data begins, which kombu refuses and others send.
        const GZIP: [u8; 2] = [0x1f, 0x8b];
        let decoder: Box<dyn Read + '_> = match self {
            Self::Gzip if body.starts_with(&GZIP) => Box::new(GzDecoder::new(body)),
            Self::Gzip => Box::new(ZlibDecoder::new(body)),
            Self::Bzip2 => Box::new(BzDecoder::new(body)),
        };
        let mut plain = Vec::new();
        let one_more = limit as u64 + 1;
        decoder
            .take(one_more)
            .read_to_end(&mut plain)
            .map_err(CompressionError::Broken)?;
        match plain.len() > limit {
            true => Err(CompressionError::TooLarge(limit)),
            false => Ok(plain),
        }
    }
}

/// `body` as `codec` compresses it, or as it is.
pub fn compressed(codec: Option<Codec>, body: &[u8]) -> Cow<'_, [u8]> {
    match codec {
        None => Cow::Borrowed(body),
        Some(codec) => Cow::Owned(codec.compress(body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compressed_is_read_back() {
        for codec in [Codec::Gzip, Codec::Bzip2] {
            let packed = codec.compress(b"a body");
            assert_eq!(codec.decompress(&packed, 6).expect("fits"), b"a body");
            assert!(codec.decompress(&packed, 5).is_err(), "too large");
            assert!(codec.decompress(b"rubbish", 100).is_err());
            assert!(matches!(Codec::of_header(codec.header()), Ok(same) if same == codec));
        }
    }

    #[test]
    fn gzip_is_a_zlib_stream_and_real_gzip_is_read_too() {
        assert_eq!(Codec::Gzip.compress(b"x")[0], 0x78);
        let mut real = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        real.write_all(b"a body").expect("memory");
        let real = real.finish().expect("memory");
        assert_eq!(Codec::Gzip.decompress(&real, 6).expect("read"), b"a body");
    }
}
