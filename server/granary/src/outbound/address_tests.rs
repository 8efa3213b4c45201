use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|error| unreachable!("{text}: {error}"))
}

#[test]
fn no_internal_address_is_public() {
    for text in [
        "127.0.0.1",
        "127.8.9.1",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.8",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::808:808",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:0:53aa:64c:0:fffe:f5ff:fffe",
        "2001:db8::1",
    ] {
        assert!(!Reach::Public.allows(address(text)), "{text}");
    }
}

#[test]
fn the_internet_is_public() {
    for text in [
        "8.8.8.8",
        "172.15.0.1",
        "172.32.0.1",
        "100.128.0.1",
        "2600:1f18::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ] {
        assert!(Reach::Public.allows(address(text)), "{text}");
    }
}

#[test]
fn an_operator_may_allow_private_networks_and_nothing_that_is_nobody() {
    for text in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1"] {
        assert!(Reach::Anywhere.allows(address(text)), "{text}");
    }
    for text in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:0.0.0.0"] {
        assert!(!Reach::Anywhere.allows(address(text)), "{text}");
    }
}
