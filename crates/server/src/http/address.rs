//! The client's address, also behind proxies that are trusted to name it.

use std::iter;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Once;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

#[cfg(test)]
mod tests;

/// The other end of the TCP connection: a request extension that [`crate::transport::listen::serve`] sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// The address that the request counts as coming from: a request extension that the access log
/// sets, for limits, the guard and the audit trail.
pub(crate) use countersign_guard::ClientAddress;

/// The networks of the proxies that are believed when they name a client's address, and the one
/// header in which they do.
///
/// A listed proxy must append to (or overwrite) that header in every request that it passes on. Any
/// other header of this kind was sent by the client and is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ForwardedHeader,
}

/// The header in which proxies name the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, a list of addresses.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl FromStr for ForwardedHeader {
    type Err = UnknownHeader;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err(UnknownHeader(text.to_owned())),
        }
    }
}

/// Not a header in which proxies name the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header is x-forwarded-for or forwarded, not {0:?}")]
pub struct UnknownHeader(String);

/// A configured proxy that is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a network such as 10.0.0.0/8")]
pub struct InvalidProxy(String);

impl TrustedProxies {
    /// These networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks, header: ForwardedHeader::default() }
    }

    /// The same, naming clients in `header`.
    pub fn naming_clients_in(self, header: ForwardedHeader) -> Self {
        Self { header, ..self }
    }

    /// From configuration: single addresses (`127.0.0.1`) and networks (`fd00::/8`).
    ///
    /// # Errors
    ///
    /// The first entry that is neither.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, InvalidProxy> {
        let network = |entry: &str| {
            IpNet::from_str(entry)
                .or_else(|_| IpAddr::from_str(entry).map(IpNet::from))
                .map_err(|_| InvalidProxy(entry.to_owned()))
        };
        let networks = entries.iter().map(|entry| network(entry.as_ref()));
        networks.collect::<Result<_, _>>().map(Self::new)
    }

    /// Whether no proxy is trusted.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// Whether the peer at `address` is one of them.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// The client's address, with IPv4-mapped IPv6 turned into IPv4.
///
/// That is `peer`, unless `peer` is a trusted proxy. Then the hops in the configured header are
/// walked from the last one, which the peer itself wrote, past every trusted proxy, to the first
/// address that is not one; where all are trusted, to the farthest. Everything before it was sent
/// by the client and is ignored. A request from a trusted proxy without such a header is the
/// proxy's own.
///
/// The answer is [`NOBODY`], an address that nothing trusts, when the walk meets a hop that is not an
/// address (`unknown`, an obfuscated identifier, nonsense), ends without any, or takes more than
/// [`MAX_HOPS`] steps; and when the request went through a proxy, as [another header](is_forwarded)
/// shows, that does not write the configured one.
pub(crate) fn client_address(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &TrustedProxies,
) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted.contains(peer) {
        if peer.is_loopback() && has_forwarding_header(headers) {
            tell_of_untrusted(peer);
        }
        return peer;
    }
    let client = match trusted.header {
        ForwardedHeader::XForwardedFor if headers.contains_key(&X_FORWARDED_FOR) => {
            from_x_forwarded_for(headers, trusted)
        }
        ForwardedHeader::Forwarded if headers.contains_key(FORWARDED) => {
            from_forwarded(headers, trusted)
        }
        ForwardedHeader::XForwardedFor | ForwardedHeader::Forwarded if is_forwarded(headers) => {
            None
        }
        ForwardedHeader::XForwardedFor | ForwardedHeader::Forwarded => Some(peer),
    };
    client.unwrap_or_else(|| nobody(peer, trusted.header))
}

/// Stands for an unknown client: no configured network contains this address.
pub(crate) const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Whether the request has come through a proxy: it has a header that proxies usually add.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    let is_of_proxies = |name: &str| OF_PROXIES.contains(&name) || name.starts_with("x-forwarded-");
    headers.keys().any(|name| is_of_proxies(name.as_str()))
}

const OF_PROXIES: [&str; 5] =
    ["forwarded", "via", "x-real-ip", "x-client-ip", "x-original-forwarded-for"];

fn has_forwarding_header(headers: &HeaderMap) -> bool {
    headers.contains_key(&X_FORWARDED_FOR) || headers.contains_key(FORWARDED)
}

/// Logs once that a proxy on this machine names clients, and is not believed.
fn tell_of_untrusted(peer: IpAddr) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        tracing::warn!(
            %peer,
            "a proxy says whose request it passes on, and trusted_proxies does not name it: all its \
             clients count as one, for limits and in the audit trail"
        );
    });
}

/// Logs once, and not for each request, that a proxy is not configured like this server.
fn nobody(peer: IpAddr, header: ForwardedHeader) -> IpAddr {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        tracing::warn!(
            %peer, ?header,
            "a trusted proxy does not say, or not in this header, whose request it passes on: such \
             requests count as coming from 0.0.0.0"
        );
    });
    NOBODY
}

/// How many hops of a forwarding header are read.
pub(crate) const MAX_HOPS: usize = 32;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Reads bytes, hop by hop from the right: the text that a client sent stands to the left of the
/// proxies' text, often on the same line, and must not make theirs unreadable.
fn from_x_forwarded_for(headers: &HeaderMap, trusted: &TrustedProxies) -> Option<IpAddr> {
    let lines = headers.get_all(&X_FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|line| {
        let hops = line.as_bytes().rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        hops.filter(|hop| !hop.is_empty()).map(parse_node)
    });
    walk(hops, trusted)
}

/// The same, element by element.
fn from_forwarded(headers: &HeaderMap, trusted: &TrustedProxies) -> Option<IpAddr> {
    let lines = headers.get_all(FORWARDED).iter().rev();
    let hops = lines.flat_map(|line| {
        elements_from_the_right(line.as_bytes())
            .filter(|element| element.is_none_or(|element| !element.is_empty()))
            .map(|element| forwarded_for(element?))
    });
    walk(hops, trusted)
}

/// The elements of a line of `Forwarded`, the last one first. The farthest is `None` when it cannot
/// be told where it begins.
fn elements_from_the_right(line: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut unread = Some(line);
    iter::from_fn(move || {
        let line = unread.take()?;
        let Some(start) = start_of_last_element(line) else { return Some(None) };
        let (before, element) = line.split_at_checked(start)?;
        unread = before.strip_suffix(b",");
        Some(Some(element.trim_ascii()))
    })
}

/// Where the last `forwarded-element` begins, which is well formed by itself: every quoted string in
/// it (RFC 9110 §5.6.4) has both its quotes, and nothing is escaped outside of one.
///
/// A well-formed element has only one such beginning: a comma inside a quoted string has an odd
/// number of quotes to its right. So a quote that a client left open to the left of the element
/// does not matter, and neither does a comma in a value inside it.
fn start_of_last_element(line: &[u8]) -> Option<usize> {
    let mut quoted = false;
    for (at, byte) in line.iter().enumerate().rev() {
        match byte {
            b'"' if !is_escaped(line.get(..at)?) => quoted = !quoted,
            b'"' | b'\\' if !quoted => return None,
            b',' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    (!quoted).then_some(0)
}

/// Whether the byte after `before`, inside a quoted string, is escaped.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The first hop that is not a trusted proxy, or the last of all hops.
fn walk(hops: impl Iterator<Item = Option<IpAddr>>, trusted: &TrustedProxies) -> Option<IpAddr> {
    let mut farthest = None;
    for (index, hop) in hops.enumerate() {
        let address = hop.filter(|_| index < MAX_HOPS)?;
        farthest = Some(address);
        if !trusted.contains(address) {
            break;
        }
    }
    farthest
}

/// The `for` parameter of one `forwarded-element` (RFC 7239 §4), when it is an address.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut node = None;
    for pair in split_unquoted(element, b';')?.into_iter().filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')?)?;
        if name.eq_ignore_ascii_case(b"for") && node.replace(value.get(1..)?).is_some() {
            return None;
        }
    }
    let node = node?;
    match node.strip_prefix(b"\"") {
        // No address needs an escape, so a text with one is not an address.
        Some(quoted) => parse_node(quoted.strip_suffix(b"\"")?),
        None if node.iter().copied().all(is_token_byte) => parse_node(node),
        None => None,
    }
}

/// Splits at each `delimiter` that is not inside a quoted string (RFC 9110 §5.6.4), and trims.
/// Nothing when a quoted string does not end.
fn split_unquoted(text: &[u8], delimiter: u8) -> Option<Vec<&[u8]>> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.iter().copied().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == delimiter && !quoted => {
                parts.push(text.get(start..at)?.trim_ascii());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?.trim_ascii());
    (!quoted).then_some(parts)
}

/// A `node` of RFC 7239 §6 that is an address, with or without a port: `192.0.2.1:80`,
/// `[2001:db8::1]:_port`; and a bare IPv6 address, which `X-Forwarded-For` often carries.
fn parse_node(node: &[u8]) -> Option<IpAddr> {
    let node = str::from_utf8(node).ok()?;
    let address = if let Some(bracketed) = node.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let port_is_fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        IpAddr::V6(address.parse().ok().filter(|_| port_is_fine)?)
    } else if let Ok(address) = node.parse() {
        address
    } else {
        let (address, port) = node.split_once(':')?;
        IpAddr::V4(address.parse().ok().filter(|_| is_port(port))?)
    };
    Some(address.to_canonical())
}

/// `node-port` of RFC 7239 §6: digits, or an obfuscated port.
fn is_port(port: &str) -> bool {
    match port.strip_prefix('_') {
        Some(name) => {
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !name.is_empty() && name.bytes().all(fine)
        }
        None => (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
