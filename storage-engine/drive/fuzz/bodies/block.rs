//! Any block or shard file header, with a hash that is right: what is read back is consistent and is what it writes.

use granary_drive::{BLOCK_HEADER_LENGTH_BYTES, BlockHeader, FileHeader};

fn sealed(content: &[u8]) -> Vec<u8> {
    let mut header = vec![0; BLOCK_HEADER_LENGTH_BYTES];
    let body = BLOCK_HEADER_LENGTH_BYTES - 16;
    let length = content.len().min(body);
    header[..length].copy_from_slice(&content[..length]);
    let hash = blake3::hash(&header[..body]);
    header[body..].copy_from_slice(&hash.as_bytes()[..16]);
    header
}

pub(crate) fn run(data: &[u8]) {
    let _ = (BlockHeader::read(data), FileHeader::read(data));
    let block = sealed(data);
    if let Some(header) = BlockHeader::read(&block) {
        assert!(header.profile.0.checked_add(header.profile.1).is_some_and(|columns| columns <= 24));
        assert!(header.records_length_bytes + header.data_length_bytes <= header.body_length_bytes);
        let mut again = vec![0; BLOCK_HEADER_LENGTH_BYTES];
        assert!(header.write(&mut again));
        assert_eq!(BlockHeader::read(&again), Some(header));
    }
    if let Some(header) = FileHeader::read(&block) {
        assert_eq!(FileHeader::read(&header.to_page()), Some(header));
    }
}
