//! Bodies compressed with gzip.

mod decode;
mod encode;

pub(crate) use decode::GunzipBody;
pub use decode::decode_body;
pub use encode::encode_body;
