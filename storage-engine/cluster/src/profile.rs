//! From a number of drives to a code.

/// k data and m parity columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Redundancy {
    /// k.
    pub data: u8,
    /// m.
    pub parity: u8,
}

/// The code a new store gets when nobody chose one: about a third of the drives may be lost in small sets,
/// four in large ones.
#[must_use]
pub fn for_drives(count: usize) -> Redundancy {
    let parity: u8 = match count {
        0 | 1 => 0,
        2 | 3 => 1,
        4..=8 => 2,
        9..=11 => 3,
        _ => 4,
    };
    let columns = u8::try_from(count.clamp(1, 16)).unwrap_or(16);
    Redundancy { data: (columns - parity).max(1), parity }
}

/// The code that an archive gets when nobody chose one: that of [`for_drives`], but where there are enough drives for four
/// parity columns it has three and as much more data.
#[must_use]
pub fn archive_for_drives(count: usize) -> Redundancy {
    let usual = for_drives(count);
    let parity = usual.parity.min(3);
    Redundancy { data: usual.data + (usual.parity - parity), parity }
}

/// The code for a new volume when only `usable` drives can take it: m is kept and k lowered; only when one data
/// column is left does m shrink. `None` if no drive is usable.
#[must_use]
pub fn degraded(wanted: Redundancy, usable: usize) -> Option<Redundancy> {
    let usable = u8::try_from(usable).unwrap_or(u8::MAX);
    if usable == 0 {
        return None;
    }
    let parity = wanted.parity.min(usable - 1);
    Some(Redundancy { data: wanted.data.min(usable - parity), parity })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(data: u8, parity: u8) -> Redundancy {
        Redundancy { data, parity }
    }

    #[test]
    fn the_default_codes_are_those_of_the_documentation() {
        for (drives, data, parity) in
            [(1, 1, 0), (2, 1, 1), (3, 2, 1), (4, 2, 2), (6, 4, 2), (12, 8, 4), (40, 12, 4)]
        {
            assert_eq!(for_drives(drives), code(data, parity), "{drives}");
        }
    }

    #[test]
    fn archives_have_wider_codes_where_there_are_drives_for_them() {
        for (drives, data, parity) in [(1, 1, 0), (4, 2, 2), (11, 8, 3), (12, 9, 3), (40, 13, 3)] {
            assert_eq!(archive_for_drives(drives), code(data, parity), "{drives}");
        }
    }

    #[test]
    fn fewer_drives_lower_k_before_m() {
        let wanted = code(4, 2);
        let expected = [(7, 4, 2), (6, 4, 2), (5, 3, 2), (4, 2, 2), (3, 1, 2), (2, 1, 1), (1, 1, 0)];
        for (usable, data, parity) in expected {
            assert_eq!(degraded(wanted, usable), Some(code(data, parity)), "{usable}");
        }
        assert_eq!(degraded(wanted, 0), None);
    }
}
