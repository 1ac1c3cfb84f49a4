//! The sockets to the gate: the one that it started the keeper with, and those of whoever comes to the run's folder.

use crate::hold::News;
use portcullis_keeper::{Report, Start};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Bytes of one message at most: the environment and the arguments of a command.
const MESSAGE: u64 = 4 << 20;
/// How long whoever is told something may take to read it. A gate that hangs delays no stop.
const READS: Duration = Duration::from_secs(1);
/// Connections that are told, at most.
const CONNECTIONS: usize = 8;

/// Which connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct From(u64);

/// The keeper's ends.
pub(crate) struct Control {
    connections: Vec<(From, UnixStream)>,
    lines: BufReader<UnixStream>,
    /// Whoever counts as the gate.
    gate: From,
}

impl Control {
    /// Takes the socket from where the gate put it, and leaves nothing there that a child could get.
    pub(crate) fn take() -> io::Result<Self> {
        let own = rustix::io::fcntl_dupfd_cloexec(io::stderr(), 3)?;
        let nowhere = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stderr(&nowhere)?;
        let out = UnixStream::from(own);
        out.set_write_timeout(Some(READS))?;
        let gate = From(0);
        Ok(Self { lines: BufReader::new(out.try_clone()?), connections: vec![(gate, out)], gate })
    }

    /// The first message.
    pub(crate) fn start(&mut self) -> io::Result<Start> {
        let line = line(&mut self.lines)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Tells everybody. Nobody may be there any more; what is to be done does not depend on it.
    pub(crate) fn tell(&mut self, report: &Report) {
        let Ok(mut text) = serde_json::to_vec(report) else { return };
        text.push(b'\n');
        self.connections.retain_mut(|(_, out)| out.write_all(&text).is_ok());
    }

    /// Somebody came to the folder.
    pub(crate) fn join(&mut self, from: From, out: UnixStream) {
        if self.connections.len() < CONNECTIONS {
            self.connections.push((from, out));
        }
    }

    /// Whoever this is, is the gate from now on.
    pub(crate) fn adopt(&mut self, gate: From) {
        self.gate = gate;
    }

    /// A connection was closed. Gives whether it was the gate's.
    pub(crate) fn gone(&mut self, from: From) -> bool {
        self.connections.retain(|(known, _)| *known != from);
        from == self.gate
    }

    /// Passes on what comes from the gate, until it is gone.
    pub(crate) fn listen(&self, news: Sender<News>) -> io::Result<()> {
        hear(self.gate, self.lines.get_ref().try_clone()?, news)
    }
}

/// Lets in whoever comes to the socket in the run's folder and is of our own user, or root.
pub(crate) fn receive(listener: UnixListener, news: Sender<News>) -> io::Result<()> {
    std::thread::Builder::new().name("door".into()).spawn(move || {
        let own = rustix::process::getuid();
        for (number, guest) in (1..).zip(listener.incoming()) {
            let Ok(guest) = guest else { return };
            let user = rustix::net::sockopt::socket_peercred(&guest).map(|peer| peer.uid);
            if !user.is_ok_and(|user| user == own || user.is_root()) {
                continue;
            }
            let from = From(number);
            let joined = guest.set_write_timeout(Some(READS)).and_then(|()| guest.try_clone());
            if let Ok(out) = joined
                && news.send(News::Joined(from, out)).is_ok()
            {
                let _ = hear(from, guest, news.clone());
            }
        }
    })?;
    Ok(())
}

fn hear(from: From, stream: UnixStream, news: Sender<News>) -> io::Result<()> {
    let mut lines = BufReader::new(stream);
    std::thread::Builder::new().name("control".into()).spawn(move || {
        while let Ok(Some(line)) = line(&mut lines) {
            let Ok(order) = serde_json::from_str(&line) else { break };
            if news.send(News::Order(from, order)).is_err() {
                return;
            }
        }
        let _ = news.send(News::Gone(from));
    })?;
    Ok(())
}

fn line(lines: &mut BufReader<UnixStream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = lines.take(MESSAGE).read_line(&mut line)?;
    Ok((read > 0 && line.ends_with('\n')).then_some(line))
}
