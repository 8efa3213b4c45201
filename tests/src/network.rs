//! A network of its own for each cluster of a test: every node in a network namespace with an address, all of them and this
//! machine on one bridge. Links are broken in the kernel, so that connections see what they see when a cable does not carry
//! packets: nothing at all. Needs root.
//!
//! A direction of a link is cut by telling the sender's namespace that the other address is at a hardware address that
//! nobody has: its packets leave and reach no one, and nothing refuses them. A link is slow by a token bucket at both ends.
//! Neither needs modules that a small kernel may lack.

use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Networks are 10.213.N.0/24; the first N that is free is taken.
const NETWORKS_MAX: u8 = 250;
const HOSTS_MAX: usize = 32;
/// This machine in the network, for clients, and again for the database, so that a link to the database alone can be cut.
const CLIENTS: u8 = 254;
const DATABASE: u8 = 253;
/// Where the namespaces' files are.
const SPACES_DIR: &str = "/run/netns";
/// The hardware address that nobody has; locally administered, so that no vendor gives it out.
const NOBODY: &str = "02:00:5e:ff:ff:fe";
/// A slow link passes 4 Mbit/s and keeps half a second of it waiting.
const SLOW: [&str; 6] = ["rate", "4mbit", "burst", "16kb", "limit", "256kb"];
/// Ends what runs in the namespaces and removes them, when its standard input ends. The link to this machine goes by itself: with its
/// namespace it would go some time after. The hub is the last of them, so that nobody takes the number while anything is left.
const GUARD: &str = r#"cat >/dev/null
uplink="$1"
shift
for space in "$@"; do
  ip netns pids "$space" | xargs -r kill -9
done
ip link delete "$uplink"
for space in "$@"; do
  ip netns delete "$space"
done"#;

/// Who is at an end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A node, by its place in the cluster.
    Node(usize),
    /// The database.
    Database,
}

/// The network; gone when dropped, or when the process of the test dies, however it dies.
#[derive(Debug)]
pub struct Network {
    number: u8,
    hosts: usize,
    guard: Child,
}

impl Network {
    /// A network for `hosts` nodes.
    pub fn create(hosts: usize) -> Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "this test makes network namespaces: run it as root");
        ensure!(hosts <= HOSTS_MAX, "a network has at most {HOSTS_MAX} hosts");
        let number = claim()?;
        let spaces = (0..hosts).map(|host| space(number, host)).chain(std::iter::once(hub(number)));
        // In a process group of its own, so that what ends the tests does not end the guard too.
        let guard = Command::new("sh")
            .process_group(0)
            .args(["-c", GUARD, "sh", &uplink(number)])
            .args(spaces)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the guard of a network")?;
        let network = Self { number, hosts, guard };
        network.build()?;
        Ok(network)
    }

    fn build(&self) -> Result<()> {
        let (hub, uplink) = (hub(self.number), uplink(self.number));
        ip(&["-n", &hub, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &hub, "link", "set", "bridge", "up"])?;
        ip(&["-n", &hub, "link", "set", "uplink", "master", "bridge", "up"])?;
        for own in [CLIENTS, DATABASE] {
            ip(&["address", "add", &format!("{}/24", self.at(own)), "dev", &uplink])?;
        }
        ip(&["link", "set", &uplink, "up"])?;
        for host in 0..self.hosts {
            let (space, port) = (self.space(host), port(host));
            ip(&["netns", "add", &space])?;
            ip(&["-n", &hub, "link", "add", &port, "type", "veth", "peer", "eth0", "netns", &space])?;
            ip(&["-n", &hub, "link", "set", &port, "master", "bridge", "up"])?;
            ip(&["-n", &space, "address", "add", &format!("{}/24", self.address(host)?), "dev", "eth0"])?;
            ip(&["-n", &space, "link", "set", "lo", "up"])?;
            ip(&["-n", &space, "link", "set", "eth0", "up"])?;
        }
        Ok(())
    }

    fn at(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.number, last)
    }

    /// The address of a node.
    pub fn address(&self, host: usize) -> Result<Ipv4Addr> {
        Ok(self.at(u8::try_from(host + 1).context("a host of the network")?))
    }

    /// The namespace of a node.
    pub fn space(&self, host: usize) -> String {
        space(self.number, host)
    }

    /// The address of this machine that the database listens to.
    pub fn database(&self) -> Ipv4Addr {
        self.at(DATABASE)
    }

    /// All addresses of the network, as Postgres writes it.
    pub fn cidr(&self) -> String {
        format!("{}/24", self.at(0))
    }

    fn reach(&self, end: End) -> Result<String> {
        match end {
            End::Node(host) => Ok(self.address(host)?.to_string()),
            End::Database => Ok(self.database().to_string()),
        }
    }

    /// Loses what `from` sends to `to`; what comes back is not lost.
    pub fn cut(&self, from: usize, to: End) -> Result<()> {
        let (space, to) = (self.space(from), self.reach(to)?);
        ip(&["-n", &space, "neighbour", "replace", &to, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent"])
    }

    /// Parts `some` nodes from all others, in both directions. The database is still reached.
    pub fn split(&self, some: &[usize]) -> Result<()> {
        for inner in some {
            for outer in (0..self.hosts).filter(|host| !some.contains(host)) {
                self.cut(*inner, End::Node(outer))?;
                self.cut(outer, End::Node(*inner))?;
            }
        }
        Ok(())
    }

    /// Makes a node's link slow, in both directions, for everyone.
    pub fn slow(&self, host: usize) -> Result<()> {
        let both = [(self.space(host), "eth0".to_owned()), (hub(self.number), port(host))];
        for (space, device) in both {
            let mut args = vec!["-n", &space, "qdisc", "replace", "dev", &device, "root", "tbf"];
            args.extend(SLOW);
            run(Command::new("tc").args(args))?;
        }
        Ok(())
    }

    /// Makes every link well again.
    pub fn heal(&self) -> Result<()> {
        for host in 0..self.hosts {
            let space = self.space(host);
            ip(&["-n", &space, "neighbour", "flush", "dev", "eth0", "nud", "permanent"])?;
            for (space, device) in [(space, "eth0".to_owned()), (hub(self.number), port(host))] {
                let shown = run(Command::new("tc").args(["-n", &space, "qdisc", "show", "dev", &device]))?;
                if shown.contains("tbf") {
                    run(Command::new("tc").args(["-n", &space, "qdisc", "delete", "dev", &device, "root"]))?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// A command that runs in a namespace.
pub fn command_in(space: &str, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={SPACES_DIR}/{space}")).arg("--").arg(program);
    command
}

/// Takes the first network that is free: the hub's name is what two tests cannot both have.
fn claim() -> Result<u8> {
    let mut refusals = String::new();
    for number in 0..NETWORKS_MAX {
        match ip(&["netns", "add", &hub(number)]) {
            Ok(()) => {}
            Err(refusal) => {
                refusals = format!("{refusal:#}");
                if Path::new(SPACES_DIR).join(hub(number)).exists() {
                    continue;
                }
                bail!("this machine makes no network namespaces: {refusals}");
            }
        }
        let (hub, uplink) = (hub(number), uplink(number));
        match ip(&["link", "add", &uplink, "type", "veth", "peer", "uplink", "netns", &hub]) {
            Ok(()) => return Ok(number),
            // It may be left over of a network that ended otherwise: another number is free.
            Err(refusal) => {
                ip(&["netns", "delete", &hub])?;
                refusals = format!("{refusal:#}");
            }
        }
    }
    bail!("no network is free: {refusals}")
}

fn hub(number: u8) -> String {
    format!("granary{number}-hub")
}

fn space(number: u8, host: usize) -> String {
    format!("granary{number}-{host}")
}

fn uplink(number: u8) -> String {
    format!("granary{number}")
}

fn port(host: usize) -> String {
    format!("port{host}")
}

fn ip(args: &[&str]) -> Result<()> {
    run(Command::new("ip").args(args)).map(drop)
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{command:?} (of the package iproute2)"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {} {complaint}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
