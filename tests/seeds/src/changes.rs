//! Changed inputs, the same each time.

/// Bytes that parsers treat in a way of their own.
const TELLING: [&[u8]; 12] = [
    b"",
    b"\0",
    b"\xff",
    b"\r\n",
    b"%",
    b"<",
    b"\"",
    b"\\",
    b"-1",
    b"18446744073709551616",
    b"\xc3\xa9",
    b"*",
];

/// A source of changes.
pub(crate) struct Changes<'a> {
    seeds: Vec<&'a [u8]>,
    state: u64,
}

impl<'a> Changes<'a> {
    pub(crate) fn new(seeds: impl Iterator<Item = &'a [u8]>) -> Self {
        Self { seeds: seeds.collect(), state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// One to four changes of `seed`.
    pub(crate) fn of(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut input = seed.to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut input);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let from = self.below(input.len() + 1);
        let to = (from + self.below(16)).min(input.len());
        match self.below(6) {
            0 => {
                let bit = self.below(8);
                if let Some(byte) = input.get_mut(from) {
                    *byte ^= 1 << bit;
                }
            }
            1 => drop(input.drain(from..to)),
            2 => input.truncate(from),
            3 => {
                let again: Vec<u8> = input.get(from..to).unwrap_or_default().to_vec();
                input.splice(from..from, again);
            }
            4 => {
                let telling = self.below(TELLING.len());
                let telling = TELLING.get(telling).copied().unwrap_or_default();
                input.splice(from..to, telling.iter().copied());
            }
            _ => {
                let other = self.below(self.seeds.len());
                let other = self.seeds.get(other).copied().unwrap_or_default();
                let at = self.below(other.len() + 1);
                input.truncate(from);
                input.extend_from_slice(other.get(at..).unwrap_or_default());
            }
        }
    }

    /// A number below `end`, or 0. By xorshift: all that matters is that it is the same each time.
    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.state % end).unwrap_or(0)
    }
}
