//! Random numbers that cannot be predicted, from the host, where the operator granted them with
//! `random = true`.

use crate::host;

/// 64 random bits.
pub fn u64() -> u64 {
    host::random_u64()
}

/// A random UUID (RFC 9562, version 4) in its usual form.
pub fn uuid() -> String {
    let (high, low) = (u64(), u64());
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_uuid_has_its_form_and_is_new_each_time() {
        let uuid = super::uuid();
        let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
        assert_eq!(&uuid[14..15], "4", "{uuid}");
        assert!("89ab".contains(&uuid[19..20]), "{uuid}");
        assert_ne!(uuid, super::uuid());
    }
}
