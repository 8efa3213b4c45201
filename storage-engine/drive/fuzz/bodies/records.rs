//! Any records: never a panic or memory beyond the input's, and what is read back is what it writes.

use granary_drive::{BlobRecords, PackedRecords};

pub(crate) fn run(data: &[u8]) {
    if let Some((records, length)) = PackedRecords::decode_with_length(data) {
        assert!(length <= data.len());
        assert_eq!(PackedRecords::decode(&records.encode().unwrap()), Some(records));
    }
    if let Some((records, length)) = BlobRecords::decode_with_length(data) {
        assert!(length <= data.len());
        assert_eq!(BlobRecords::decode(&records.encode().unwrap()), Some(records));
    }
}
