//! Networks, transfers and keys.

use crate::operator::command::entry::{Entry, FACE, Face, Kind, PLAIN};
use crate::operator::command::options::{NO_OPTIONS, Options};

/// What shows certificates, of files and of servers.
const CERTIFICATES: Options = Options {
    single: "in: inform: noout text subject issuer dates enddate startdate serial fingerprint purpose modulus pubkey hash sha1 \
        sha256 sha512 md5 CAfile: CApath: untrusted: verify_hostname: connect: servername: showcerts brief starttls: alpn: \
        tls1_2 tls1_3 v a d checkend: ext: nameopt:",
    ..NO_OPTIONS
};

pub(super) const TABLE: &[Entry] = &[
    // Name spaces, batches and files of options run commands, and what changes a link may load a program into the kernel.
    Entry {
        names: "ip",
        checked: "iproute2 6.1.0",
        options: Options {
            single: "4 6 0 B br brief d details f: family: j json o oneline p pretty r resolve s stats statistics c color t ts",
            long: "brief details family: json oneline pretty resolve stats statistics color timestamp",
            short: "",
        },
        faces: &[Face {
            names: "a addr address l link r route n neigh neighbour rule maddr maddress tunnel nexthop",
            second: "s sh show l ls list lst get",
            ..FACE
        }],
        ..PLAIN
    },
    Entry {
        names: "bridge tc",
        checked: "iproute2 6.1.0",
        options: Options { single: "s j p d json pretty statistics details", ..NO_OPTIONS },
        faces: &[Face { names: "link fdb mdb vlan qdisc class filter", second: "show list ls", ..FACE }],
        ..PLAIN
    },
    // -D writes, -F is a file of filters, -K closes, -N goes to another name space.
    Entry {
        names: "ss",
        checked: "iproute2 6.1.0",
        options: Options {
            short: "046EHMOSTZabdeilmnoprstuwxzA:f:",
            long: "all listening numeric resolve options extended memory processes threads info summary tcp udp raw unix \
                ipv4 ipv6 packet no-header oneline family: query: socket:",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    Entry {
        names: "netstat",
        checked: "net-tools 2.10",
        options: Options {
            short: "46CFMNWaegilnoprstuvwx",
            long: "all continuous extend groups interfaces listening numeric programs route statistics tcp udp verbose wide",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    // More words change what is shown.
    Entry {
        names: "ifconfig",
        checked: "net-tools 2.10",
        options: Options { short: "asv", ..NO_OPTIONS },
        most: Some(1),
        ..PLAIN
    },
    Entry {
        names: "arp",
        checked: "net-tools 2.10",
        options: Options { short: "aen", ..NO_OPTIONS },
        most: Some(1),
        ..PLAIN
    },
    Entry {
        names: "route",
        checked: "net-tools 2.10",
        options: Options { short: "en46", ..NO_OPTIONS },
        most: Some(0),
        ..PLAIN
    },
    Entry {
        names: "ping ping6",
        checked: "iputils 20221126",
        options: Options { short: "46DOnqvc:i:s:t:w:W:", ..NO_OPTIONS },
        ..PLAIN
    },
    Entry {
        names: "dig host nslookup",
        checked: "bind 9.18",
        options: Options { short: "46Cadrsvt:x:c:W:", single: "type=: query=:", ..NO_OPTIONS },
        ..PLAIN
    },
    // -w writes, -z runs at each turn of the file, -F and -V read.
    Entry {
        names: "tcpdump",
        checked: "tcpdump 4.99.3",
        options: Options { short: "AKNSeflnpqtuvxXc:i:r:s:", long: "interface: count", ..NO_OPTIONS },
        ..PLAIN
    },
    // Not what writes, what reads options, and what uploads a file: `@file` and `<file`, also behind a letter. Addresses of other kinds
    // read files (`file:`, `{file}:`) and talk to anything (`dict:`, `telnet:`), and what has no kind is guessed from its name.
    Entry {
        names: "curl",
        checked: "curl 7.88.1",
        options: Options {
            short: "0246GILNSfghijklnqsvA:H:X:Y:b:d:e:m:r:u:x:y:F:",
            long: "silent show-error fail fail-with-body location head verbose include insecure compressed get max-time: \
                connect-timeout: header: request: data: data-raw: data-binary: json: form: user-agent: \
                referer: user: retry: retry-delay: retry-all-errors range: proxy: ipv4 ipv6 http1.1 http2 globoff \
                max-redirs: resolve: tlsv1.2 no-progress-meter no-buffer path-as-is",
            ..NO_OPTIONS
        },
        begin: "http localhost 127. [::1]",
        begins: "@",
        has: "%output =@ =< -d@ -H@",
        ..PLAIN
    },
    // A download is a file, wherever it is told to go.
    Entry {
        names: "wget",
        checked: "wget 1.21.3",
        options: Options {
            short: "46NScqvT:t:U:",
            long: "spider quiet no-verbose verbose timeout: tries: timestamping continue server-response header: user-agent: \
                max-redirect: no-check-certificate inet4-only inet6-only",
            single: "nv nc",
        },
        kind: Kind::Writes,
        ..PLAIN
    },
    // -e names the program that connects, and so may a host behind `@` that is an option to it. Words for another host are read by a
    // shell there.
    Entry {
        names: "rsync",
        checked: "rsync 3.5.0",
        options: Options {
            short: "0468AHPSWXacghiklmnopqrtuvxz",
            long: "archive verbose recursive dry-run compress delete exclude: include: progress stats partial human-readable \
                checksum update size-only itemize-changes list-only links copy-links perms times group owner quiet \
                ignore-existing bwlimit: max-size: min-size: timeout:",
            ..NO_OPTIONS
        },
        has: "$ ` ; | & ( < > @-",
        ..PLAIN
    },
    // ProxyCommand and the like stand behind -o and in a file behind -F; -S and -D name a program.
    Entry {
        names: "scp",
        checked: "OpenSSH 9.2p1",
        options: Options { short: "346BCpqrvP:l:", ..NO_OPTIONS },
        has: "$ ` ; | & ( < >",
        ..PLAIN
    },
    // Engines and providers are libraries, and -out and -keyout write. What has a colon in it is an address to many, and that of an
    // engine (`org.openssl.engine:/tmp/x.so:`) loads it.
    Entry {
        names: "openssl",
        checked: "OpenSSL 3.0",
        faces: &[
            Face {
                names: "x509 req verify crl asn1parse dgst sha256 md5 version ciphers",
                options: CERTIFICATES,
                has: ":",
                ..FACE
            },
            Face { names: "s_client", options: CERTIFICATES, ..FACE },
            Face { names: "rand", options: Options { single: "hex base64", ..NO_OPTIONS }, ..FACE },
        ],
        ..PLAIN
    },
    // A word alone is a file that is unpacked beside itself.
    Entry {
        names: "gpg gpg2",
        checked: "GnuPG 2.2.40",
        options: Options {
            short: "Kk",
            long: "list-keys list-secret-keys list-public-keys fingerprint with-colons version batch no-tty with-fingerprint",
            ..NO_OPTIONS
        },
        most: Some(0),
        ..PLAIN
    },
];
